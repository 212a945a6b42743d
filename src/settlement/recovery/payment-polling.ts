import { setTimeout as wait } from 'node:timers/promises';
import type { PayableId, TopUpId } from '../../domain/ids.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import { isTopUpId } from '../../ledger/wallet/topups.ts';
import type { Log } from '../../log.ts';
import type { Settle } from '../settle/settle.ts';

export type PaymentPolling = {
  start(): void;
  /** Resolves when the looks in hand are over. */
  stop(): Promise<void>;
  /** Takes what is due now; gives how many orders were looked at. */
  turn(): Promise<number>;
};

const batchMax = 200;
/** For each provider. */
const inFlightMax = 4;

/**
 * Asks providers about the payments that buyers make with them, when the ledger says that it is time:
 * on a schedule, since a notification may never come, and at once after one did. Any number of
 * processes may do so: each due look is taken by one of them.
 */
export function openPaymentPolling(options: {
  payments: Payments;
  settle: Settle;
  settleTopUps(ids: readonly TopUpId[]): Promise<void>;
  /** Redis' clock, in ms. */
  redisNow(): Promise<number>;
  log: Log;
  /** How often the ledger is asked what is due, ms. */
  everyMs?: number | undefined;
}): PaymentPolling {
  const { payments, settle, settleTopUps, redisNow, log, everyMs = 250 } = options;
  const stopping = new AbortController();
  /** By provider. */
  const flights = new Map<string, Set<Promise<void>>>();
  let loop: Promise<void> | undefined;

  async function look(ids: PayableId[]): Promise<void> {
    const orders = ids.filter((id) => !isTopUpId(id));
    if (orders.length > 0) await settle(orders);
    if (orders.length < ids.length) await settleTopUps(ids.filter(isTopUpId));
  }

  async function take(busy: string[]) {
    return await payments.takeDuePolls({ now: await redisNow(), limit: batchMax, busy });
  }

  async function turn(): Promise<number> {
    const due = [...new Set([...(await take([])).values()].flat())];
    if (due.length > 0) await look(due);
    return due.length;
  }

  /** A provider that is slow keeps its own payments waiting, not those of the others. */
  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      let taken = 0;
      try {
        const due = await take(busy());
        for (const [provider, ids] of due) {
          taken += ids.length;
          fly(provider, look(ids));
        }
      } catch (error) {
        log.warn({ err: error }, 'payments cannot be looked up');
      }
      if (taken === batchMax) continue;
      await wait(everyMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
    await Promise.all([...flights.values()].flatMap((own) => [...own]));
  }

  const busy = () => [...flights].flatMap(([name, own]) => (own.size < inFlightMax ? [] : [name]));

  function fly(provider: string, looking: Promise<void>): void {
    const own = flights.get(provider) ?? new Set();
    flights.set(provider, own);
    const flight = looking
      .catch((error: unknown) => log.warn({ err: error, provider }, 'looked up in vain'))
      .finally(() => own.delete(flight));
    own.add(flight);
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
