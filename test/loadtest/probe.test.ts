import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pausingRead } from '../../loadtest/probe/pausing-read.ts';
import { openProbe, type Probe } from '../../loadtest/probe/probe.ts';
import { openSettled } from '../../loadtest/probe/settled.ts';
import type { EngineMoment } from '../../loadtest/record/record.ts';
import { factsOf } from '../../loadtest/spike/engine-facts.ts';
import { type EngineProcess, startEngineProcess } from '../support/engine-process.ts';
import { eventually } from '../support/eventually.ts';
import { conditionMs } from '../support/patience.ts';
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
});
afterAll(async () => {
  await probe?.close();
  await engine?.kill('SIGTERM');
  rmSync(parent, { recursive: true, force: true });
});

test('a look tells units, ledger and queues, and finds each process by its role', async () => {
  const { address, opsAddress, merchantKey = '', pid } = engine;
  const sale = await openSale({ address, merchantKey }, { units: 30 });
  probe = openProbe({
    address,
    opsAddress,
    merchantKey,
    drop: sale.drop,
    enginePid: pid,
    processes: [{ name: 'load 1', pid: process.pid }],
  });
  await sale.run(await sale.gather(40), { pressing: 10 });
  const sold = {
    units: {
      available: 0,
      held: 0,
      sold: 30,
      settlementLag: 0,
      ledger: { reserved: 0, paid: 30, released: 0, refunded: 0 },
    },
    queues: { outboxBacklog: 0, waiting: 0, active: 0, delayed: 0 },
  };
  // Each part rests by itself, so a sample may have the one and not the other.
  let settled: EngineMoment = { units: undefined, queues: undefined, processes: [] };
  await eventually(async () => {
    const { engine, units } = await probe.sample();
    settled = {
      units: units.at(-1)?.seen ?? settled.units,
      queues: engine.queues ?? settled.queues,
      processes: engine.processes,
    };
    expect(settled).toMatchObject(sold);
    return true;
  });
  const since = await probe.untilSettled(conditionMs);
  expect(since).toBeGreaterThan(0);
  // Nothing moved meanwhile, so it is the same instant, however late one asks.
  expect(await probe.untilSettled(conditionMs)).toBe(since);
  expect(await factsOf({ opsAddress, own: true })).toMatchObject({
    engine: { apiProcesses: 2, redis: 'embedded', ledger: 'embedded' },
    redisVersion: expect.stringMatching(/^\d+\.\d+/),
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

  await engine.kill('SIGTERM');
  const silent = await eventually(async () => {
    const { engine: seen, units } = await probe.sample();
    return units.length === 0 && seen.queues === undefined && seen;
  });
  // What its own machine can tell of processes needs no answer of the engine.
  if (process.platform === 'linux') {
    expect(silent.processes.map(({ name }) => name)).toContain('load 1');
  }
  expect(await probe.untilSettled(300)).toBeUndefined();
});

test('a look that finds an order under way takes back what looks before it found', () => {
  const settled = openSettled();
  const seen = (ended: boolean, at: number) => settled.begin().see(ended, at);
  seen(true, 10);
  seen(true, 20);
  expect(settled.since()).toBe(10);
  seen(false, 30);
  expect(settled.since()).toBeUndefined();
  seen(true, 40);
  seen(true, 50);
  expect(settled.since()).toBe(40);
  // An answer that was overtaken is about an instant before the newest.
  const slow = settled.begin();
  seen(true, 60);
  slow.see(false, 70);
  expect(settled.since()).toBe(40);
});

test('an engine that answers late is read on time all the same, so its plots have no hole', async () => {
  const answers: (() => void)[] = [];
  const reads = pausingRead(async () => {
    const read = answers.length;
    await new Promise<void>((answer) => answers.push(answer));
    return read;
  });
  // Nothing is answered; a read that waited for the one before would stand alone.
  void reads.look();
  await eventually(() => {
    void reads.look();
    return answers.length === 3;
  });
  expect(reads.take()).toEqual([]);
  // Each is of use for its own instant, in whatever order the answers come.
  for (const answer of answers.reverse()) answer();
  const taken: number[] = [];
  await eventually(() => taken.push(...reads.take()) === 3);
  expect(taken).toEqual([2, 1, 0]);
});

test('rests leave no hole: looks that each take long are asked for again before a plot breaks off', async () => {
  let looks = 0;
  const look = pausingRead(async () => {
    looks += 1;
    await new Promise((resolve) => setTimeout(resolve, 400));
    return looks;
  });
  await look.look();
  expect([look.take(), look.take()]).toEqual([[1], []]);
  expect(await look.look()).toBeUndefined();
  await eventually(async () => (await look.look()) === 2, { withinMs: 4_500 });
  expect(look.take()).toEqual([2]);
});
