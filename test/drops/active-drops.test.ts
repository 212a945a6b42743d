import { pino } from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import { openActiveDrops } from '../../src/drops/active-drops.ts';
import type { Drops } from '../../src/ledger/drops.ts';
import { eventually } from '../support/eventually.ts';

afterEach(() => vi.useRealTimers());

const log = pino({ level: 'silent' });

test('The ledger counts as away after a failed read or ten seconds without an answer, and not during a slow query', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  let answer: () => Promise<never[]> = async () => [];
  let reads = 0;
  const drops = {
    active() {
      reads += 1;
      return answer();
    },
  };
  const active = openActiveDrops({ drops: drops as unknown as Drops, log });
  await active.start();
  expect(active.isLedgerAway()).toBe(false);

  const slow = Promise.withResolvers<never[]>();
  answer = () => slow.promise;
  active.refresh();
  await eventually(async () => reads === 2);
  vi.advanceTimersByTime(4_000);
  expect(active.isLedgerAway()).toBe(false);
  vi.advanceTimersByTime(7_000);
  expect(active.isLedgerAway()).toBe(true);

  answer = () => Promise.reject(new Error('the ledger is away'));
  slow.resolve([]);
  await eventually(async () => active.isLedgerAway() === false);
  active.refresh();
  await eventually(async () => active.isLedgerAway());
  await active.stop();
});
