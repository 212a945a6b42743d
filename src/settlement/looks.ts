import { setTimeout as wait } from 'node:timers/promises';
import type { Payments } from '../ledger/payments.ts';
import { isTopUpId } from '../ledger/topups.ts';
import type { Log } from './log.ts';
import type { Settle } from './settle.ts';

export type Looks = {
  start(): void;
  /** Resolves when the looks in hand are over. */
  stop(): Promise<void>;
  /** Takes what is due now; gives how many orders were looked at. */
  turn(): Promise<number>;
};

const batchMax = 200;
const flightsMax = 4;

/**
 * Asks providers about the payments that buyers make with them, when the ledger says that it is time:
 * on a schedule, since a notification may never come, and at once after one did. Any number of
 * processes may do so: each due look is taken by one of them.
 */
export function openLooks(options: {
  payments: Payments;
  settle: Settle;
  settleTopUps(ids: readonly string[]): Promise<void>;
  log: Log;
  /** How often the ledger is asked what is due, ms. */
  everyMs?: number;
}): Looks {
  const { payments, settle, settleTopUps, log, everyMs = 250 } = options;
  const stopping = new AbortController();
  const flights = new Set<Promise<void>>();
  let loop: Promise<void> | undefined;

  async function look(ids: string[]): Promise<void> {
    const orders = ids.filter((id) => !isTopUpId(id));
    if (orders.length > 0) await settle(orders);
    if (orders.length < ids.length) await settleTopUps(ids.filter(isTopUpId));
  }

  async function turn(): Promise<number> {
    const due = await payments.takeLooks(batchMax);
    if (due.length > 0) await look(due);
    return due.length;
  }

  /** A slow provider keeps one batch waiting, not the next ones. */
  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      let taken = 0;
      try {
        const due = await payments.takeLooks(batchMax);
        taken = due.length;
        if (taken > 0) fly(look(due));
        if (flights.size >= flightsMax) await Promise.race(flights);
      } catch (error) {
        log.warn({ err: error }, 'payments cannot be looked up');
      }
      if (taken === batchMax) continue;
      await wait(everyMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
    await Promise.all(flights);
  }

  function fly(looking: Promise<void>): void {
    const flight = looking
      .catch((error: unknown) => log.warn({ err: error }, 'looked up in vain'))
      .finally(() => flights.delete(flight));
    flights.add(flight);
  }

  return {
    start() {
      loop ??= run();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
    turn,
  };
}
