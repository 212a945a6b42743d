import type { Drop } from '../domain/drop.ts';
import type { DropId, LaneRef, OrderId } from '../domain/ids.ts';
import { compareIds } from '../drops/lost-lanes.ts';
import type { Records } from '../inventory/lane-scan.ts';
import { type Lanes, lanesOf } from '../inventory/lanes.ts';
import { isOfLane } from '../inventory/redis-errors.ts';
import type { ReconciliationQueries } from '../ledger/checks/reconciliation-queries.ts';
import type { Orders } from '../ledger/orders.ts';
import { readLane, type UnreadLane } from './unread-lanes.ts';

/** The last outbox entry of each lane at one instant, by drop. */
export type OutboxEnds = Map<DropId, { lane: number; last: string }[]>;

const shownMax = 200;

/** Finds orders that lanes have and the ledger does not, and distinguishes lag from loss. */
export function openUnrecordedOrders(options: {
  lanes: Lanes;
  records: Records;
  orders: Orders;
  queries: ReconciliationQueries;
}) {
  const { lanes, records, orders, queries } = options;

  /** Ids of unrecorded orders, and the lanes that could not be read. */
  async function find(drops: readonly Drop[]): Promise<{ ids: OrderId[]; unread: UnreadLane[] }> {
    const ids: OrderId[] = [];
    const unread: UnreadLane[] = [];
    for (const drop of drops) {
      ids.push(...(await unrecordedOf(drop, unread)));
      if (ids.length >= shownMax) break;
    }
    return { ids: ids.slice(0, shownMax), unread };
  }

  /** A lane is scanned only when the lanes that can be read have more orders than the ledger. */
  async function unrecordedOf(drop: Drop, unread: UnreadLane[]): Promise<OrderId[]> {
    const refs = lanesOf(drop);
    const counts = await Promise.all(
      refs.map((ref) => readLane(ref, unread, () => records.count(ref))),
    );
    const inLanes = counts.reduce<number>((sum, count = 0) => sum + count, 0);
    if (inLanes <= (await queries.orderCount(drop.id))) return [];
    const found: OrderId[] = [];
    for (const [index, ref] of refs.entries()) {
      if (counts[index] === undefined) continue;
      found.push(...((await readLane(ref, unread, () => unrecordedIn(ref))) ?? []));
      if (found.length >= shownMax) break;
    }
    return found;
  }

  async function unrecordedIn(ref: LaneRef): Promise<OrderId[]> {
    const found: OrderId[] = [];
    for await (const page of records.orders(ref)) {
      const ids = page.map(({ id }) => id);
      const known = await queries.states(ids);
      found.push(...ids.filter((id) => !known.has(id)));
      if (found.length >= shownMax) break;
    }
    return [...new Set(found)];
  }

  async function outboxEnds(drops: Iterable<DropId>): Promise<OutboxEnds> {
    const ends: OutboxEnds = new Map();
    for (const drop of drops) {
      const known = await orders.positions(drop);
      ends.set(drop, await Promise.all(known.map(({ lane }) => lastOf({ drop, lane }))));
    }
    return ends;
  }

  async function lastOf(ref: LaneRef): Promise<{ lane: number; last: string }> {
    const seen = await lanes.inspect(ref).catch((error: unknown) => {
      // No end is known, so nothing that this lane does not have is taken for lag.
      if (isOfLane(error)) return undefined;
      throw error;
    });
    return { lane: ref.lane, last: seen?.status === 'done' ? seen.lastEvent : '0-0' };
  }

  /** Drops of which the ledger has not yet read all outbox entries up to these ends. */
  async function dropsBehind(ends: OutboxEnds): Promise<Set<DropId>> {
    const behind = new Set<DropId>();
    for (const [drop, lasts] of ends) {
      const places = new Map((await orders.positions(drop)).map(({ lane, last }) => [lane, last]));
      const isBehind = lasts.some(({ lane, last }) => {
        return last !== '0-0' && compareIds(places.get(lane) ?? '0-0', last) < 0;
      });
      if (isBehind) behind.add(drop);
    }
    return behind;
  }

  return { find, outboxEnds, dropsBehind };
}
