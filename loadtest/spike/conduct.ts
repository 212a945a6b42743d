import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { request } from 'undici';
import { freePort } from '../../src/embedded/redis-process.ts';
import { auditSale } from '../auditor/auditor.ts';
import { type EngineProcess, startEngine } from '../engine.ts';
import { type Merchant, openMerchant, unitAmount } from '../merchant.ts';
import { openProbe } from '../probe/probe.ts';
import type { Terminal } from '../report/terminal.ts';
import { openCrowd } from './crowd.ts';
import { openMerge } from './merge.ts';
import type { SpikeOptions } from './options.ts';
import type { SpikeRecord } from './record.ts';

/** What a run tells while it goes on. */
export type Progress = Pick<Terminal, 'phase' | 'moment'>;

/** Why a run came to nothing: told in one line. */
export class SpikeError extends Error {}

const sku = 'phone';
const stepMs = 500;
const sampleMs = stepMs;
/** Between the word to go and the first scheduled act. */
const marginMs = 1_500;
const settleMsMax = 300_000;

/** A whole sale: engine, drop, appointments, crowd, settlement, audit. */
export async function conduct(options: SpikeOptions, progress: Progress): Promise<SpikeRecord> {
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-spike-'));
  let engine: EngineProcess | undefined;
  try {
    if (!options.target) {
      progress.phase('start');
      engine = await startEngine({ data: join(folder, 'data'), port: await freePort() });
    }
    return await replay({ options, progress, folder, engine });
  } finally {
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function replay(run: {
  options: SpikeOptions;
  progress: Progress;
  folder: string;
  engine: EngineProcess | undefined;
}): Promise<SpikeRecord> {
  const { options, progress, folder, engine } = run;
  const { parameters, seed, processes, scenario, scale, speed, target } = options;
  const startedAt = new Date().toISOString();
  const address = engine?.address ?? target?.url ?? '';
  const merchantKey = engine?.merchantKey ?? target?.merchantKey ?? '';
  await assertReachable(address);
  const merchant = openMerchant({ address, merchantKey });
  const { units, people, bots, leadMs } = parameters;
  const merge = openMerge({ stepMs, units });
  progress.phase('gather', `${people} people and their money`);
  const crowd = openCrowd({
    ...{ address, seed, parameters, processes, folder, stepMs },
    onSteps: (steps) => steps.forEach(merge.add),
  });
  try {
    const planned = await crowd.gathered;
    const opensAt = Date.now() + leadMs + marginMs;
    const drop = await merchant.openDrop({ sku, units, title: scenario.title, startsAt: opensAt });
    crowd.go({ opensAt, goods: { drop, sku } });
    progress.phase('wait', `${Math.round(leadMs / 1_000)} s`);
    const opening = setTimeout(() => progress.phase('sale'), opensAt - Date.now());
    const probe = openProbe({
      ...{ address, merchantKey, drop },
      enginePid: engine?.pid,
      processes: crowd.pids.map((pid, n) => ({ name: `load ${n + 1}`, pid })),
    });
    const sampling = setInterval(async () => {
      const atMs = Date.now() - opensAt;
      merge.sample(atMs, await probe.sample());
      const last = merge.last();
      if (last) progress.moment(last);
    }, sampleMs);
    let settledAtMs: number | undefined;
    try {
      await crowd.done;
      progress.phase('settle');
      settledAtMs = await untilSettled(merchant, { drop, opensAt });
    } finally {
      clearInterval(sampling);
      clearTimeout(opening);
      probe.close();
    }
    progress.phase('audit');
    const verdict = await auditSale({
      head: {
        ...{ drop, sku, units, unitAmount, perBuyer: 1 },
        crowds: crowd.groups.map(({ prefix, count }) => ({ prefix, count })),
      },
      books: crowd.books,
      sources: merchant,
    });
    const { name, title, real } = scenario;
    return {
      format: 'flashdrop-spike/1',
      scenario: { name, title, real },
      parameters,
      plan: { scale, speed, seed, processes: crowd.pids.length, command: options.command },
      engine: {
        ...{ url: address, own: engine !== undefined, apiProcesses: undefined },
        // An engine of the run's own embeds both; of another's its public routes tell nothing.
        ...(engine
          ? { redis: 'embedded', ledger: 'embedded' as const }
          : { redis: 'not told', ledger: 'unknown' as const }),
      },
      machine: machine(),
      versions: { flashdrop: version(), node: process.version, redis: 'not told' },
      startedAt,
      sale: { drop, units, buyers: people + bots, appointments: 0, importMs: undefined },
      pacing: merge.pacing(planned),
      outcome: merge.outcome(settledAtMs),
      timeline: merge.moments(),
      latency: merge.latency(),
      verdict,
    };
  } catch (error) {
    crowd.stop();
    throw error;
  }
}

async function assertReachable(address: string): Promise<void> {
  try {
    const { statusCode, body } = await request(`${address}/readyz`, { headersTimeout: 5_000 });
    await body.dump();
    if (statusCode !== 200) throw new Error(`it answers ${statusCode} at /readyz`);
  } catch (error) {
    throw new SpikeError(`no engine is ready at ${address}: ${(error as Error).message}`);
  }
}

/** When the last order had its end, ms since the opening; undefined when some never do. */
async function untilSettled(
  merchant: Merchant,
  sale: { drop: string; opensAt: number },
): Promise<number | undefined> {
  const started = performance.now();
  while ((await merchant.unsettled(sale.drop)) > 0) {
    if (performance.now() - started > settleMsMax) return undefined;
    await wait(250);
  }
  return Date.now() - sale.opensAt;
}

function machine(): SpikeRecord['machine'] {
  const [first] = cpus();
  return {
    ...{ cpu: first?.model ?? 'unknown', cores: cpus().length, memoryBytes: totalmem() },
    platform: `${process.platform} ${process.arch}`,
  };
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
