import { type Failed, inParts } from '../../batching/in-parts.ts';
import { type OrderId, type OrderRef, orderId, placeOf } from '../../domain/ids.ts';
import type { OrderDetails } from '../../domain/order-details.ts';
import { required } from '../../domain/required.ts';
import { byLane } from '../../inventory/by-lane.ts';
import type { Lanes } from '../../inventory/lanes.ts';
import { isRefusedBySql } from '../../ledger/database/refused.ts';
import type { Orders } from '../../ledger/orders.ts';
import type { ParkedChanges } from '../../ledger/parked-changes.ts';
import type { Log } from '../../log.ts';
import type { SettleQueue } from '../queue/settle-queue.ts';
import { type Change, type OutboxEntry, parseChange } from './outbox.ts';

export type RecordChanges = ReturnType<typeof openRecordChanges>;

/** What became of a batch of changes. */
export type RecordedChanges = {
  /** The orders that are reserved after these changes; the others need no payment. */
  toSettle: OrderId[];
  unreadable: number;
  parked: number;
};

/** What buyers gave with their Buys, by the id of the order. */
type Details = Map<OrderId, OrderDetails>;

const retryBatch = 100;

/**
 * Writes the changes of outbox entries to the ledger. A change that cannot be read, or that the ledger
 * refuses, is parked there: it keeps neither its neighbours nor the entries behind it.
 */
export function openRecordChanges(options: {
  orders: Orders;
  parkedChanges: ParkedChanges;
  lanes: Pick<Lanes, 'details' | 'forgetDetails'>;
  log: Log;
}) {
  const { orders, parkedChanges, lanes, log } = options;

  /**
   * The changes that can be recorded, with what buyers gave with their orders, and those of orders whose details cannot be read: without them nobody knows where to ship.
   */
  async function withDetails(changes: readonly Change[]): Promise<{
    whole: Change[];
    details: Details;
    failed: Failed<Change>[];
  }> {
    const details: Details = new Map();
    const unreadable = new Set<OrderId>();
    for (const { ref, places } of byLane(changes.flatMap(placeWithDetails))) {
      const digests = places.map(({ digest }) => digest);
      for (const [index, kept] of (await lanes.details(ref, digests)).entries()) {
        const id = orderId(required(places[index], 'order'));
        if (kept === 'unreadable') unreadable.add(id);
        else if (kept) details.set(id, kept);
      }
    }
    const isWhole = (change: Change) => {
      return placeWithDetails(change).every((place) => !unreadable.has(orderId(place)));
    };
    const failed = changes
      .filter((change) => !isWhole(change))
      .map((item) => {
        return { item, error: new Error('the details of the order in its lane cannot be read') };
      });
    return { whole: changes.filter(isWhole), details, failed };
  }

  /** Deletes the details of recorded orders from their lanes: personal data stays in the ledger alone. */
  async function forgetDetails(changes: readonly Change[]): Promise<void> {
    for (const { ref, places } of byLane(changes.flatMap(placeWithDetails))) {
      const digests = places.map(({ digest }) => digest);
      await lanes.forgetDetails(ref, digests);
    }
  }

  async function write(
    changes: readonly Change[],
    { details, entries }: { details: Details; entries: readonly OutboxEntry[] },
  ): Promise<void> {
    await orders.upsert(
      changes.flatMap((change) => {
        if (change.kind !== 'order') return [];
        const { order, raw } = change;
        return [{ order, at: raw.at, details: details.get(order.id) }];
      }),
      {
        adjustments: changes.flatMap((change) => {
          return change.kind === 'adjustment' ? [change.adjustment] : [];
        }),
        positions: entries.map(({ ref, id }) => ({ ...ref, last: id })),
      },
    );
  }

  /** @throws what the ledger threw when it was not about the changes: they can be recorded later */
  async function record(entries: readonly OutboxEntry[]): Promise<RecordedChanges> {
    const all = entries.flatMap(({ changes }) => changes);
    const readable = all.filter(({ kind }) => kind !== 'unreadable');
    const { whole, details, failed: unclear } = await withDetails(readable);
    const unreadable = all.flatMap((change): Failed<Change>[] => {
      return change.kind === 'unreadable' ? [{ item: change, error: change.error }] : [];
    });
    const aside = [...unreadable, ...unclear];
    const refused = await attempt(whole, { details, entries: aside.length === 0 ? entries : [] });
    const failed = [...aside, ...refused];
    await parkedChanges.park(failed.map(({ item, error }) => ({ ...item.raw, error })));
    // Only now: an entry whose position is recorded is not read again when its lane is recovered.
    if (failed.length > 0) await write([], { details, entries });
    for (const { item, error } of failed) {
      const { drop, lane, entry, field } = item.raw;
      const order = item.kind === 'order' ? item.order.id : undefined;
      log.error(
        { err: error, drop, lane, entry, field, order },
        'change of an outbox entry is parked: see Parked changes in docs/operations.md',
      );
    }
    const isParked = new Set(failed.map(({ item }) => item));
    const recorded = readable.filter((change) => !isParked.has(change));
    await forgetDetails(recorded);
    return {
      toSettle: toSettle(recorded),
      unreadable: unreadable.length,
      parked: failed.length,
    };
  }

  /** Writes all in one statement; where the ledger refuses that, in parts, without the positions. */
  async function attempt(
    changes: readonly Change[],
    { details, entries }: { details: Details; entries: readonly OutboxEntry[] },
  ): Promise<Failed<Change>[]> {
    if (changes.length === 0) {
      await write([], { details, entries });
      return [];
    }
    const work = (part: readonly Change[]) =>
      write(part, { details, entries: part.length === changes.length ? entries : [] });
    return await inParts(changes, work, { isOfItem: isRefusedBySql });
  }

  /**
   * Tries parked changes again that are due.
   * @returns how many were recorded
   */
  async function retryParked(queue: Pick<SettleQueue, 'add'>): Promise<number> {
    const due = (await parkedChanges.takeDue({ limit: retryBatch })).map(parseChange);
    const readable = due.filter(({ kind }) => kind !== 'unreadable');
    const { whole, details } = await withDetails(readable);
    const failed = await inParts(whole, (part) => write(part, { details, entries: [] }), {
      isOfItem: isRefusedBySql,
    });
    const stillParked = new Set(failed.map(({ item }) => item));
    const recorded = whole.filter((change) => !stillParked.has(change));
    await queue.add(toSettle(recorded));
    await forgetDetails(recorded);
    await parkedChanges.remove(recorded.map(({ raw }) => raw));
    return recorded.length;
  }

  return { record, retryParked };
}

/**
 * The place of an order that has details. Its lane keeps them until one of its changes is recorded, so a
 * later change of an order whose first one is parked is recorded with them or is parked, too.
 */
function placeWithDetails(change: Change): OrderRef[] {
  if (change.kind !== 'order' || change.order.fingerprint === undefined) return [];
  return [placeOf(change.order.id)];
}

/**
 * The orders that these changes reserve and leave reserved. The others need no payment; one whose hold was
 * extended has a payment that its buyer began, which is polled.
 */
function toSettle(changes: readonly Change[]): OrderId[] {
  const latest = new Map<OrderId, { version: number; reserved: boolean }>();
  for (const change of changes) {
    if (change.kind !== 'order') continue;
    const { id, version, state } = change.order;
    if ((latest.get(id)?.version ?? 0) < version) {
      latest.set(id, { version, reserved: state === 'reserved' && version === 1 });
    }
  }
  return [...latest].flatMap(([id, { reserved }]) => (reserved ? [id] : []));
}
