import { inParts } from '../../batching/in-parts.ts';
import type { Clock } from '../../domain/clock.ts';
import { type DropId, type LaneRef, type OrderId, placeOf } from '../../domain/ids.ts';
import type { Order } from '../../domain/order.ts';
import type { ActiveDrops } from '../../drops/active-drops.ts';
import type { DropTerms } from '../../drops/drop-terms.ts';
import type { Publishing } from '../../drops/publishing.ts';
import { byLane } from '../../inventory/by-lane.ts';
import { type Lanes, lanesOf } from '../../inventory/lanes.ts';
import { isOutOfMemory } from '../../inventory/redis-errors.ts';
import { isRefusedBySql } from '../../ledger/database/refused.ts';
import type { Drops, StoredDrop } from '../../ledger/drops.ts';
import type { LedgerOrder, Orders } from '../../ledger/orders.ts';
import type { StrayPlace } from '../../ledger/payments/attempts.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { WalletAllowances } from '../../ledger/wallet/allowances.ts';
import type { Log } from '../../log.ts';
import type { Providers } from '../../payments/provider.ts';
import { openInterval } from '../../scheduling/interval.ts';
import { type OnCount, openCounters } from '../metrics/counters.ts';
import type { SettleQueue } from '../queue/settle-queue.ts';
import type { RecordChanges } from '../relay/record-changes.ts';
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
  /** Parked changes that the ledger has taken at last. */
  'unparked',
  /** Orders settled here because the queue had no memory for their jobs. */
  'unqueued',
] as const;
export type RedriveCount = (typeof redriveCounts)[number];

export type RedriveOptions = {
  lanes: Lanes;
  drops: Drops;
  orders: Orders;
  payments: Payments;
  allowances: Pick<WalletAllowances, 'areRefused'>;
  queue: SettleQueue;
  recordChanges: Pick<RecordChanges, 'retryParked'>;
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
  const { publishing, activeDrops, allowances, log } = options;
  const { everyMs = 2_000, staleMs = 10_000, retireMs = 3_600_000 } = options;
  const counters = openCounters(redriveCounts, options.onCount);
  let retireAt = 0;
  let strayAllAt = 0;
  let requeuedTo: LedgerOrder | undefined;
  let strayTo: StrayPlace | undefined;
  let returnedTo: Payment | undefined;
  let cancelledTo: LedgerOrder | undefined;

  /**
   * Orders that stay reserved in the ledger: records those that have ended in their lane, queues the
   * others.
   */
  async function requeue(now: number): Promise<void> {
    const ended: Order[] = [];
    const waiting: OrderId[] = [];
    for (const { ref, places } of byLane((await takeStuck(now)).map(placed))) {
      const digests = places.map((place) => place.digest);
      const read = () => Promise.all([options.termsOf(ref.drop), lanes.find(ref, digests)]);
      const [terms, found] = (await apart(read, ref)) ?? [undefined, []];
      if (found.length === 0) continue;
      const known = found.flatMap((order) => order ?? []);
      ended.push(...known.filter(({ state }) => state !== 'reserved'));
      // The others wait for their buyers: payment polling looks them up.
      if (terms) waiting.push(...known.filter(isCharged(terms)).map(({ id }) => id));
      const lost = places.filter((_, index) => !found[index]);
      reportLost(
        ref,
        lost.map((place) => place.row.id),
      );
    }
    await correct(ended, now);
    // A job of its own for each: one that waits for its next try already stays as it is.
    // Those whose wallet has paid its day's amount without the password wait for their buyers, too.
    const refused = await allowances.areRefused(waiting);
    await enqueue(waiting.filter((_, index) => !refused[index]));
  }

  const isCharged = (terms: DropTerms) => (order: Order) => {
    return order.state === 'reserved' && engineStarts({ order, terms }, providers);
  };

  /** The result of work on one lane or drop; undefined when it fails, so that the others go on. */
  async function apart<T>(work: () => Promise<T>, about: object): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      log.warn({ err: error, ...about }, 'redrive of a lane failed: the others go on');
      return undefined;
    }
  }

  /** Orders are settled here while Redis has no memory for their jobs. */
  async function enqueue(waiting: readonly OrderId[]): Promise<void> {
    try {
      await queue.addApart(waiting);
      counters.add('requeued', waiting.length);
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      await settle(waiting);
      counters.add('unqueued', waiting.length);
    }
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
    const failed = await inParts(
      unrecorded,
      (part) => orders.upsert(part.map((order) => ({ order, at: now }))),
      { isOfItem: isRefusedBySql },
    );
    for (const { item, error } of failed) {
      log.error({ err: error, order: item.id }, 'an order cannot be recorded');
    }
    counters.add('corrected', unrecorded.length - failed.length);
  }

  /** Payments of orders that ended without them: closes them, or accepts or refunds late captures. */
  async function settleStray(now: number): Promise<void> {
    const all = performance.now() >= strayAllAt;
    const stray = await payments.unresolvedAfterRelease({
      since: all ? 0 : now - strayRecentMs,
      before: now - staleMs,
      after: strayTo,
      limit: batchMax,
    });
    // As in takeStuck: payments that cannot be resolved must not block those behind them.
    strayTo = stray.length < batchMax ? undefined : stray.at(-1);
    if (all && !strayTo) strayAllAt = performance.now() + strayAllEveryMs;
    if (stray.length === 0) return;
    for (const drop of new Set(stray.map((payment) => payment.drop))) await drops.revive(drop);
    await settle([...new Set(stray.map((payment) => payment.orderId))]);
    counters.add('stray', stray.length);
  }

  async function refundCancelled(): Promise<void> {
    const paid = await orders.toRefund({ after: cancelledTo, limit: batchMax });
    // As in takeStuck: orders whose refunds wait must not keep the others from their money.
    cancelledTo = paid.length < batchMax ? undefined : paid.at(-1);
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
    await refunds.check(await payments.takeDueRefundChecks({ limit: batchMax }));
    const returned = await payments.unfinishedRefunds({
      before,
      after: returnedTo,
      limit: batchMax,
    });
    returnedTo = returned.length < batchMax ? undefined : returned.at(-1);
    // A retired drop becomes active first: otherwise nothing reads its lanes' new outbox entries.
    for (const drop of new Set(returned.map((payment) => payment.drop))) {
      if (drop) await drops.revive(drop);
    }
    await payments.finishRefunds([...(await refunds.giveBack(returned))]);
  }

  async function retryParked(): Promise<void> {
    counters.add('unparked', await options.recordChanges.retryParked(queue));
  }

  /**
   * Retires drops that are over, with no hold and no outbox entry left, so that their lanes are not
   * read any more.
   */
  async function retire(now: number): Promise<void> {
    if (performance.now() < retireAt) return;
    retireAt = performance.now() + retireEveryMs;
    for (const drop of activeDrops.drops()) {
      if (drop.endsAt + retireMs > now) continue;
      if (!(await apart(() => isQuiet(drop), { drop: drop.id }))) continue;
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

  async function redriveOrders(): Promise<void> {
    const now = await options.redisNow();
    await allOf([publishing.sync(), requeue(now), settleStray(now), retryParked(), retire(now)]);
  }

  const redriveRefunds = () => allOf([refundCancelled(), finishRefunds()]);
  const onError = (error: unknown) => log.warn({ err: error }, 'redrive failed');
  // Apart from each other: a provider that answers about refunds late delays no order.
  const runs = [redriveOrders, redriveRefunds];
  const intervals = runs.map((run) => openInterval({ run, everyMs, onError }));
  return {
    start() {
      for (const { start } of intervals) start();
    },
    async stop() {
      await Promise.all(intervals.map((interval) => interval.stop()));
    },
    runOnce: () => allOf([redriveOrders(), redriveRefunds()]),
    counts: counters.read,
  };
}

/** @throws the first error, once all of it has ended */
async function allOf(work: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work)) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}

function placed(row: LedgerOrder) {
  return { ...placeOf(row.id), row };
}
