import type { Clock } from '../../domain/clock.ts';
import { type DropId, type LaneRef, type OrderId, placeOf } from '../../domain/ids.ts';
import type { Order } from '../../domain/order.ts';
import type { ActiveDrops } from '../../drops/active-drops.ts';
import type { DropTerms } from '../../drops/drop-terms.ts';
import type { Publishing } from '../../drops/publishing.ts';
import { byLane, type Lanes, lanesOf } from '../../inventory/lanes.ts';
import type { Drops, StoredDrop } from '../../ledger/drops.ts';
import type { LedgerOrder, Orders } from '../../ledger/orders.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import type { Log } from '../../log.ts';
import type { Providers } from '../../payments/provider.ts';
import { openInterval } from '../../scheduling/interval.ts';
import { type OnCount, openCounters } from '../metrics/counters.ts';
import type { SettleQueue } from '../queue/settle-queue.ts';
import { engineStarts } from '../settle/payment-rules.ts';
import type { Refunds } from '../settle/refunds.ts';
import type { Settle } from '../settle/settle.ts';

export type Redrive = {
  start(): void;
  /** Resolves when the current run is over. */
  stop(): Promise<void>;
  /**
   * Runs once, now.
   * @throws the first error, after every kind of work was tried
   */
  runOnce(): Promise<void>;
  counts(): Record<RedriveCount, number>;
};

/** Unfinished work that was found. A count that keeps growing means that something fails repeatedly. */
export const redriveCounts = [
  /** Orders added to the queue again; for those still queued this changes nothing. */
  'requeued',
  'stray',
  'refunds',
  /** Orders that had ended in their lane and were still reserved in the ledger. */
  'corrected',
  'retired',
] as const;
export type RedriveCount = (typeof redriveCounts)[number];

export type RedriveOptions = {
  lanes: Lanes;
  drops: Drops;
  orders: Orders;
  payments: Payments;
  queue: SettleQueue;
  settle: Settle;
  refunds: Refunds;
  publishing: Publishing;
  activeDrops: ActiveDrops;
  providers: Providers;
  termsOf(drop: DropId): Promise<DropTerms | undefined>;
  redisNow(): Promise<number>;
  /** The clock that gives refunds their times. */
  clock: Clock;
  log: Log;
  everyMs?: number | undefined;
  /** Work that has not moved for this long counts as left behind by a crash, ms. */
  staleMs?: number | undefined;
  /** A drop stays active for this long after its end, ms. */
  retireMs?: number;
  onCount?: OnCount<RedriveCount>;
};

const batchMax = 500;
/** Orders released longer ago than this (ms) are checked only every `strayAllEveryMs`. */
const strayRecentMs = 3_600_000;
const strayAllEveryMs = 600_000;
const retireEveryMs = 60_000;

/**
 * Finds in the ledger what the queue has lost and what a crash has left unfinished, and finishes it.
 * Each run takes a bounded part of each kind of work; all of it may be repeated, also by two processes
 * at once.
 */
export function openRedrive(options: RedriveOptions): Redrive {
  const { lanes, drops, orders, payments, providers, queue, settle, refunds } = options;
  const { publishing, activeDrops, log } = options;
  const { everyMs = 2_000, staleMs = 10_000, retireMs = 3_600_000 } = options;
  const counters = openCounters(redriveCounts, options.onCount);
  let retireAt = 0;
  let strayAllAt = 0;
  let requeuedTo: LedgerOrder | undefined;

  /**
   * Orders that stay reserved in the ledger: records those that have ended in their lane, queues the
   * others.
   */
  async function requeue(now: number): Promise<void> {
    const ended: Order[] = [];
    const waiting: OrderId[] = [];
    for (const { ref, places } of byLane((await takeStuck(now)).map(placed))) {
      const terms = await options.termsOf(ref.drop);
      const found = await lanes.find(
        ref,
        places.map((place) => place.digest),
      );
      for (const order of found) {
        if (!order) continue;
        if (order.state !== 'reserved') ended.push(order);
        // The others wait for their buyers: payment polling looks them up.
        else if (terms && engineStarts({ order, terms }, providers)) waiting.push(order.id);
      }
      const lost = places.filter((_, index) => !found[index]);
      reportLost(
        ref,
        lost.map((place) => place.row.id),
      );
    }
    // A job of its own for each: one that waits for its next try already stays as it is.
    await queue.addApart(waiting);
    counters.add('requeued', waiting.length);
    await correct(ended, now);
  }

  /** A batch of the orders that stay reserved and have no waiting job. */
  async function takeStuck(now: number): Promise<LedgerOrder[]> {
    // An order reserved before the oldest waiting job was added has no waiting job; the others may have.
    const queuedSince = (await queue.waitingSince()) ?? now;
    const stuck = await orders.stuck({
      reservedBefore: Math.min(now, queuedSince) - staleMs,
      after: requeuedTo,
      limit: batchMax,
    });
    // The next run continues from there: orders that cannot be settled must not block the others.
    requeuedTo = stuck.length < batchMax ? undefined : stuck.at(-1);
    return stuck;
  }

  function reportLost(ref: LaneRef, lost: readonly OrderId[]): void {
    if (lost.length === 0) return;
    const [example] = lost;
    log.error({ ref, orders: lost.length, example }, 'orders in the ledger are not in their lane');
  }

  /** Records ended orders that the relay should have recorded long ago: their outbox entry was lost. */
  async function correct(ended: Order[], now: number): Promise<void> {
    const unrecorded = ended.filter((order) => order.expiresAt < now - staleMs);
    await orders.upsert(unrecorded.map((order) => ({ order, at: now })));
    counters.add('corrected', unrecorded.length);
  }

  /** Payments of orders that ended without them: closes them, or accepts or refunds late captures. */
  async function settleStray(now: number): Promise<void> {
    const all = performance.now() >= strayAllAt;
    const stray = await payments.unresolvedAfterRelease({
      since: all ? 0 : now - strayRecentMs,
      before: now - staleMs,
      limit: batchMax,
    });
    if (all && stray.length < batchMax) strayAllAt = performance.now() + strayAllEveryMs;
    if (stray.length === 0) return;
    for (const drop of new Set(stray.map((payment) => payment.drop))) await drops.revive(drop);
    await settle([...new Set(stray.map((payment) => payment.orderId))]);
    counters.add('stray', stray.length);
  }

  async function refundCancelled(): Promise<void> {
    const paid = await orders.toRefund(batchMax);
    const found = await payments.ofOrders(paid.map((order) => order.id));
    const captured = found.filter(({ state }) => state === 'captured' || state === 'refunded');
    counters.add('refunds', (await refunds.giveBack(captured)).size);
  }

  /**
   * Repeats a completed refund once after `staleMs`, and only then marks it as finished, so that a late
   * capture that took units at the same moment is found and undone.
   */
  async function finishRefunds(): Promise<void> {
    const before = options.clock.now() - staleMs;
    const asked = await payments.takeDueRefunds({ before, limit: batchMax });
    await refunds.returnAsked(asked);
    const returned = await payments.unfinishedRefunds({ before, limit: batchMax });
    await payments.finishRefunds([...(await refunds.giveBack(returned))]);
  }

  /**
   * Retires drops that are over, with no hold and no outbox entry left, so that their lanes are not
   * read any more.
   */
  async function retire(now: number): Promise<void> {
    if (performance.now() < retireAt) return;
    retireAt = performance.now() + retireEveryMs;
    for (const drop of activeDrops.drops()) {
      if (drop.endsAt + retireMs > now || !(await isQuiet(drop))) continue;
      if (await drops.retire(drop.id)) counters.add('retired', 1);
    }
  }

  async function isQuiet(drop: StoredDrop): Promise<boolean> {
    if (drop.decision === 'cancelled' && (await orders.counts(drop.id)).paid > 0) return false;
    const inspected = await Promise.all(lanesOf(drop).map(lanes.inspect));
    return inspected.every((lane) => {
      return lane.status === 'missing' || (lane.holds === 0 && lane.backlog === 0);
    });
  }

  async function runOnce(): Promise<void> {
    const now = await options.redisNow();
    const outcomes = await Promise.allSettled([
      publishing.sync(),
      requeue(now),
      settleStray(now),
      refundCancelled(),
      finishRefunds(),
      retire(now),
    ]);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  const interval = openInterval({
    run: runOnce,
    everyMs,
    onError: (error) => log.warn({ err: error }, 'redrive failed'),
  });
  return { start: interval.start, stop: interval.stop, runOnce, counts: counters.read };
}

function placed(row: LedgerOrder) {
  return { ...placeOf(row.id), row };
}
