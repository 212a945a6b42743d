import type { PayableId, TopUpId } from '../../domain/ids.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import { isTopUpId } from '../../ledger/wallet/topups.ts';
import type { Log } from '../../log.ts';
import { openInterval, type RunResult } from '../../scheduling/interval.ts';
import type { Settle } from '../settle/settle.ts';

export type PaymentPolling = {
  start(): void;
  /** Resolves when the running polls are over. */
  stop(): Promise<void>;
  /**
   * Polls everything that is due now.
   * @returns the number of orders and top-ups polled
   */
  pollDue(): Promise<number>;
};

const batchMax = 200;
/** For each provider. */
const inFlightMax = 4;

/**
 * Asks providers about the payments that buyers make there, when the ledger has a poll due: on a
 * schedule, since a notification may be lost, and at once after a notification. Any number of
 * processes may poll at once; each due poll is taken by one of them.
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
  /** Running polls by provider. */
  const inFlight = new Map<string, Set<Promise<void>>>();

  async function poll(ids: PayableId[]): Promise<void> {
    const orders = ids.filter((id) => !isTopUpId(id));
    const topUps = ids.filter(isTopUpId);
    // Orders that cannot be settled do not keep top-ups from being credited, nor the other way round.
    const done = await Promise.allSettled([
      orders.length > 0 && settle(orders),
      topUps.length > 0 && settleTopUps(topUps),
    ]);
    for (const one of done) if (one.status === 'rejected') throw one.reason;
  }

  async function take(busy: string[]) {
    return await payments.takeDuePolls({ now: await redisNow(), limit: batchMax, busy });
  }

  async function pollDue(): Promise<number> {
    const due = [...new Set([...(await take([])).values()].flat())];
    if (due.length > 0) await poll(due);
    return due.length;
  }

  /** Starts the due polls. A slow provider delays its own payments only. */
  async function takeDue(): Promise<RunResult> {
    const due = await take(busy());
    let taken = 0;
    for (const [provider, ids] of due) {
      taken += ids.length;
      track(provider, poll(ids));
    }
    return taken === batchMax ? { pauseMs: 0 } : undefined;
  }

  const busy = () => {
    return [...inFlight].flatMap(([name, own]) => (own.size < inFlightMax ? [] : [name]));
  };

  function track(provider: string, polling: Promise<void>): void {
    const own = inFlight.get(provider) ?? new Set();
    inFlight.set(provider, own);
    const tracked = polling
      .catch((error: unknown) => log.warn({ err: error, provider }, 'payment poll failed'))
      .finally(() => own.delete(tracked));
    own.add(tracked);
  }

  const interval = openInterval({
    run: takeDue,
    everyMs,
    onError: (error) => log.warn({ err: error }, 'taking due payment polls failed'),
  });

  return {
    start: interval.start,
    async stop() {
      await interval.stop();
      await Promise.all([...inFlight.values()].flatMap((own) => [...own]));
    },
    pollDue,
  };
}
