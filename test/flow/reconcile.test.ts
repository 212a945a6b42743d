import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { orderId } from '../../src/domain/ids.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { startTestEngine, type TestEngine } from '../support/engine.ts';
import { type EngineProcess, startEngineProcess } from '../support/engine-process.ts';
import { aReference } from '../support/ids.ts';
import { newDatabase, sharedPostgres } from '../support/postgres.ts';
import { runProgram } from '../support/program.ts';
import { sharedRedisUrl } from '../support/redis.ts';

const reconcile = (env: Record<string, string>, ...args: string[]) =>
  runProgram('scripts/reconcile.ts', { args, env });

describe('npm run reconcile with everything embedded', () => {
  let parent: string;
  let data: string;
  let engine: EngineProcess;
  beforeAll(async () => {
    parent = mkdtempSync(join(tmpdir(), 'flashdrop-reconcile-'));
    data = join(parent, 'data');
    engine = await startEngineProcess({ data });
  });
  afterAll(async () => {
    await engine?.kill('SIGTERM');
    rmSync(parent, { recursive: true, force: true });
  });

  test('npm run reconcile asks the engine that runs on the data folder, with the key from the folder', async () => {
    const { code, out } = await reconcile({ FLASHDROP_DATA: data }, '--hours', '1');
    expect(out).toMatch(/^\d+ payments, \d+ orders, \d+ bill lines since /);
    expect(out).toContain('clean: the books agree');
    expect(code).toBe(0);
  });

  test('npm run reconcile fails with a wrong key, without an engine, and with wrong arguments', async () => {
    const FLASHDROP_OPERATOR_KEY = 'not the key of this engine, and long enough';
    const strange = await reconcile({ FLASHDROP_DATA: data, FLASHDROP_OPERATOR_KEY });
    expect(strange).toMatchObject({ code: 2, err: expect.stringContaining('401') });
    const nobody = await reconcile({ FLASHDROP_DATA: data }, '--url', 'http://127.0.0.1:9');
    expect(nobody).toMatchObject({ code: 2, err: expect.stringContaining('no engine answers') });
    const senseless = await reconcile({ FLASHDROP_DATA: data }, '--hours', 'many');
    expect(senseless).toMatchObject({ code: 2, err: expect.stringContaining('npm run reconcile') });
  });
});

const server = sharedPostgres();

describe.skipIf('missing' in server)('npm run reconcile beside the servers', () => {
  let engine: TestEngine;
  let env: Record<string, string>;
  const closes: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    if ('missing' in server) throw new Error(`bug: ${server.missing}`);
    const DATABASE_URL = await newDatabase(server.url);
    const ledger = await openLedger({ databaseUrl: DATABASE_URL });
    closes.push(ledger.close);
    engine = await startTestEngine({ redisUrl: sharedRedisUrl(), ledger });
    closes.push(engine.stop);
    env = {
      REDIS_URL: sharedRedisUrl(),
      DATABASE_URL,
      FLASHDROP_NAMESPACE: engine.namespace,
      FLASHDROP_JWT_SECRET: 'a secret of the tests, long enough to be one',
      FLASHDROP_JWT_ISSUER: 'https://id.test',
    };
  });
  afterAll(async () => {
    for (const close of closes.reverse()) await close();
  });

  test('npm run reconcile beside the servers reconciles by itself, and exits with 1 when an operator has to act', async () => {
    expect((await reconcile(env)).code).toBe(0);
    const { id } = await engine.publish((await engine.merchant()).id);
    const order = orderId({ drop: id, lane: 0, digest: 'A'.repeat(22) });
    const { payments } = engine.ledger;
    const start = { orderId: order, drop: id, provider: 'wallet', amount: 100, currency: 'CNY' };
    const [begun] = await payments.begin([start]);
    await payments.record([{ reference: aReference(begun?.reference), state: 'captured' }]);
    const table = await reconcile(env);
    expect(table.out).toMatch(
      /ALARM {2,}capture_denied .*ledger: captured 100 CNY \| provider: never/i,
    );
    expect(table.code).toBe(1);
    const { code, out } = await reconcile(env, '--json');
    const kinds = (JSON.parse(out) as { alarms: object }).alarms;
    expect([code, kinds]).toEqual([1, { capture_denied: 1, payment_without_order: 1 }]);
  });
});
