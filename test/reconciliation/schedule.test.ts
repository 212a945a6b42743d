import { afterAll, beforeAll, expect, test } from 'vitest';
import { openReconciliations } from '../../src/ledger/checks/reconciliations.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import type { Reconcile } from '../../src/reconciliation/reconciliation.ts';
import { openSchedule } from '../../src/reconciliation/schedule.ts';
import { gate } from '../settlement/stage.ts';
import { openTestLedger } from '../support/test-ledger.ts';

let ledger: Ledger;
const clock = { offsetMs: 0, now: () => Date.now() + clock.offsetMs };
beforeAll(async () => {
  ledger = await openTestLedger();
});
afterAll(() => ledger?.close());

const everyMs = 600_000;
const log = { info() {}, warn() {}, error() {} } as never;

/** A worker of several; what it does on its turn is the test's. */
function worker(reconcile: () => Promise<unknown>) {
  const outcomes: string[] = [];
  const schedule = openSchedule({
    reconcile: reconcile as Reconcile,
    everyMs,
    log,
    reconciliations: openReconciliations(ledger.database, clock),
    onRun: (outcome) => outcomes.push(outcome),
  });
  return { ...schedule, outcomes };
}

const clean = async () => ({ outcome: 'clean' });

test('Of several workers one reconciles, and none again before the interval is over', async () => {
  clock.offsetMs += everyMs;
  const still = gate();
  const first = worker(async () => {
    await still.wait();
    return await clean();
  });
  const others = [worker(clean), worker(clean)];
  const run = first.runOnce();
  await still.reached;
  expect(await Promise.all(others.map((other) => other.runOnce()))).toEqual([false, false]);
  still.open();
  expect(await run).toBe(true);
  expect(first.outcomes).toEqual(['clean']);
  expect(await Promise.all(others.map((other) => other.runOnce()))).toEqual([false, false]);
  clock.offsetMs += everyMs;
  expect((await Promise.all(others.map((other) => other.runOnce()))).sort()).toEqual([false, true]);
});

test('After a worker dies during a run, another one reconciles', async () => {
  clock.offsetMs += everyMs;
  const { take } = openReconciliations(ledger.database, clock);
  expect(await take({ holder: 'who dies', everyMs, forMs: 60_000 })).toBe(true);
  clock.offsetMs += everyMs;
  expect(await worker(clean).runOnce()).toBe(true);
});

test('A run that fails is counted as failed, and another worker runs the next', async () => {
  clock.offsetMs += everyMs;
  const failing = worker(() => Promise.reject(new Error('the ledger is away')));
  expect(await failing.runOnce()).toBe(true);
  expect(failing.outcomes).toEqual(['failed']);
  clock.offsetMs += everyMs;
  expect(await worker(clean).runOnce()).toBe(true);
});
