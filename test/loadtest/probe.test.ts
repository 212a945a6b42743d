import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openProbe, type Probe } from '../../loadtest/probe/probe.ts';
import { type EngineProcess, startEngineProcess } from '../support/engine-process.ts';
import { eventually } from '../support/eventually.ts';
import { openSale } from '../support/sale.ts';

let parent: string;
let engine: EngineProcess;
let probe: Probe;

beforeAll(async () => {
  parent = mkdtempSync(join(tmpdir(), 'flashdrop probe '));
  engine = await startEngineProcess({
    data: join(parent, 'data'),
    env: { FLASHDROP_API_PROCESSES: '2' },
  });
}, 60_000);
afterAll(async () => {
  await probe?.close();
  await engine?.kill('SIGTERM');
  rmSync(parent, { recursive: true, force: true });
});

test('a look tells units, ledger and queues, and finds each process by its role', {
  timeout: 90_000,
}, async () => {
  const { address, merchantKey = '', pid } = engine;
  const sale = await openSale({ address, merchantKey }, { units: 30 });
  probe = openProbe({
    ...{ address, merchantKey, drop: sale.drop, enginePid: pid },
    processes: [{ name: 'load 1', pid: process.pid }],
  });
  await sale.run(await sale.gather(40), { pressing: 10 });
  const settled = await eventually(
    async () => {
      const seen = await probe.sample();
      return seen?.ledger.paid === 30 && seen.queueActive + seen.queueWaiting === 0 && seen;
    },
    { withinMs: 30_000 },
  );
  expect(settled).toMatchObject({
    ...{ available: 0, held: 0, sold: 30, outboxBacklog: 0, settlementLag: 0 },
    ledger: { reserved: 0, paid: 30, released: 0, refunded: 0 },
  });
  if (process.platform === 'linux') {
    const names = settled.processes.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['settlement', 'redis', 'api 1', 'api 2', 'load 1']),
    );
    expect(names).toHaveLength(5);
    for (const { name, cpu, memoryBytes } of settled.processes) {
      expect(cpu, name).toBeGreaterThanOrEqual(0);
      expect(memoryBytes, name).toBeGreaterThan(1_000_000);
    }
  }

  await engine.kill('SIGKILL');
  await eventually(async () => (await probe.sample()) === undefined, { withinMs: 30_000 });
});
