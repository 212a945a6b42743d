import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MerchantId } from '../../src/domain/ids.ts';
import { freePort } from '../../src/embedded/free-port.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { startRedis } from '../bench/support/redis.ts';
import { startPostgres } from '../postgres.ts';
import { faultsOf, noFaults } from './faults.ts';
import { type RoleProcess, startRole } from './roles.ts';
import { type Simulated, simulated, startSimulated } from './simulators.ts';

/** The processes of a run: stores, providers, api and workers. */
export type Stage = {
  address: string;
  merchant: { id: MerchantId; apiKey: string };
  databaseUrl: string;
  simulators: Simulated[];
  /** Where the processes of the engine log. */
  logs: string;
  /** Kills a worker and starts it again; resolves once it works. */
  kill(worker: number): Promise<void>;
  calm(): Promise<void>;
  /** `keepLogs` keeps the log files. */
  stop(options: { keepLogs: boolean }): Promise<void>;
};

export async function openStage(options: { seed: number; workers: number }): Promise<Stage> {
  const { seed, workers: count } = options;
  const opened: (() => Promise<unknown>)[] = [];
  const logs = mkdtempSync(join(tmpdir(), 'flashdrop-mayhem-'));
  const stop = async ({ keepLogs }: { keepLogs: boolean }) => {
    for (const close of opened.splice(0).reverse()) await close();
    if (!keepLogs) rmSync(logs, { recursive: true, force: true });
  };
  const kept = <T extends { stop(): Promise<unknown> }>(one: T): T => {
    opened.push(() => one.stop());
    return one;
  };
  try {
    const redis = kept(await startRedis());
    const postgres = kept(await startPostgres({ max_connections: '100' }));
    const port = await freePort();
    const publicUrl = `http://127.0.0.1:${port}`;
    const simulators = await Promise.all(
      simulated.map(async (provider) => kept(await startSimulated(provider, { seed, publicUrl }))),
    );
    const env = {
      REDIS_URL: redis.url,
      DATABASE_URL: postgres.url,
      FLASHDROP_DEMO: 'on',
      FLASHDROP_JWT_SECRET: randomBytes(32).toString('hex'),
      FLASHDROP_PUBLIC_URL: publicUrl,
      ...Object.assign({}, ...simulators.map(({ settings }) => settings)),
    };
    const workers: RoleProcess[] = [];
    opened.push(() => Promise.all(workers.map((worker) => worker.stop())));
    const startWorker = async (nth: number) => {
      workers[nth] = await startRole({ role: 'worker', name: `worker-${nth}`, env, logs });
    };
    const [api] = await Promise.all([
      startRole({ role: 'api', name: 'api', port, env, logs }).then(kept),
      ...Array.from({ length: count }, (_, nth) => startWorker(nth)),
    ]);
    for (const one of simulators) await one.faults({ ...faultsOf(seed, one.provider), seed });

    return {
      address: api.address,
      databaseUrl: postgres.url,
      simulators,
      logs,
      stop,
      merchant: await newMerchant(postgres.url),
      async kill(nth) {
        await workers[nth]?.kill();
        await startWorker(nth);
      },
      async calm() {
        await Promise.all(simulators.map((one) => one.faults(noFaults())));
      },
    };
  } catch (error) {
    await stop({ keepLogs: true });
    throw error;
  }
}

async function newMerchant(databaseUrl: string): Promise<Stage['merchant']> {
  const ledger = await openLedger({ databaseUrl });
  try {
    const { merchant, apiKey } = await ledger.merchants.create({ name: 'Mayhem store' });
    return { id: merchant.id, apiKey };
  } finally {
    await ledger.close();
  }
}
