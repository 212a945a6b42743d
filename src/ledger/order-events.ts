import { type DropId, placeOf } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { OrderDetails } from '../domain/order-details.ts';

/** An order from a lane's outbox; `at` is the Redis time of the script call, ms since the epoch. */
export type OrderEvent = { order: Order; at: number; details?: OrderDetails | undefined };

/** A stock edit of one lane. */
export type Adjustment = {
  id: string;
  drop: DropId;
  lane: number;
  item: number;
  delta: number;
  reason: string;
  at: number;
};

/** How far a lane's outbox has been read: the id of its last entry, `<ms>-<seq>`. */
export type OutboxPosition = { drop: DropId; lane: number; last: string };

/** An order with the time it first reached each state, ms since the epoch; null where it never did. */
export type LedgerOrder = Order & {
  lane: number;
  reservedAt: number;
  paidAt: number | null;
  releasedAt: number | null;
  refundedAt: number | null;
  /** What the buyer gave with the Buy. */
  details?: OrderDetails | null | undefined;
};

/** One row for each order of a batch, sorted so that two relays never wait for each other. */
export function mergeEvents(events: readonly OrderEvent[]): LedgerOrder[] {
  const rows = new Map<string, LedgerOrder>();
  for (const { order, at, details } of events) {
    const seen = rows.get(order.id);
    const row: LedgerOrder = {
      ...(seen && seen.version >= order.version
        ? seen
        : { ...order, lane: placeOf(order.id).lane }),
      reservedAt: Math.min(seen?.reservedAt ?? at, at),
      paidAt: earliest(seen?.paidAt, order.state === 'paid' ? at : undefined),
      releasedAt: earliest(seen?.releasedAt, order.state === 'released' ? at : undefined),
      refundedAt: earliest(seen?.refundedAt, order.state === 'refunded' ? at : undefined),
      details: seen?.details ?? details,
    };
    rows.set(order.id, row);
  }
  return [...rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function earliest(a: number | null | undefined, b: number | undefined): number | null {
  if (a === null || a === undefined) return b ?? null;
  return b === undefined ? a : Math.min(a, b);
}

export function mergePositions(positions: readonly OutboxPosition[]) {
  const rows = new Map<string, { drop: DropId; lane: number; ms: number; seq: number }>();
  for (const { drop, lane, last } of positions) {
    const [ms, seq] = last.split('-').map(Number) as [number, number];
    const key = `${drop}:${lane}`;
    const seen = rows.get(key);
    if (!seen || ms > seen.ms || (ms === seen.ms && seq > seen.seq)) {
      rows.set(key, { drop, lane, ms, seq });
    }
  }
  return [...rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

/** Orders, adjustments and positions as JSON: the view with the higher version wins. */
export const upsertSql = `
  with edited as (
    insert into adjustments (drop_id, id, lane, item, delta, reason, at)
    select "drop", id, lane, item, delta, reason, at
    from json_to_recordset($2::json) as r("drop" text, id text, lane integer, item integer,
      delta integer, reason text, at bigint)
    order by 1, 2, 3
    on conflict do nothing),
  followed as (
    insert into outbox_positions as p (drop_id, lane, last_ms, last_seq)
    select "drop", lane, ms, seq
    from json_to_recordset($3::json) as r("drop" text, lane integer, ms bigint, seq bigint)
    on conflict (drop_id, lane) do update
      set last_ms = excluded.last_ms, last_seq = excluded.last_seq
    where (excluded.last_ms, excluded.last_seq) > (p.last_ms, p.last_seq))
  insert into orders as o (id, drop_id, lane, buyer, item, quantity, amount, method, state, reason,
    version, expires_at, reserved_at, paid_at, released_at, refunded_at, details)
  select id, "drop", lane, buyer, item, quantity, amount, method, state, reason, version,
    "expiresAt", "reservedAt", "paidAt", "releasedAt", "refundedAt", details
  from json_to_recordset($1::json) as r(id text, "drop" text, lane integer, buyer text,
    item integer, quantity integer, amount bigint, method text, state text, reason text,
    version integer, "expiresAt" bigint, "reservedAt" bigint, "paidAt" bigint,
    "releasedAt" bigint, "refundedAt" bigint, details json)
  on conflict (id) do update set
    state = case when excluded.version > o.version then excluded.state else o.state end,
    reason = case when excluded.version > o.version then excluded.reason else o.reason end,
    method = case when excluded.version > o.version then excluded.method else o.method end,
    expires_at = case when excluded.version > o.version then excluded.expires_at else o.expires_at end,
    version = greatest(o.version, excluded.version),
    reserved_at = least(o.reserved_at, excluded.reserved_at),
    paid_at = least(o.paid_at, excluded.paid_at),
    released_at = least(o.released_at, excluded.released_at),
    refunded_at = least(o.refunded_at, excluded.refunded_at),
    details = coalesce(o.details, excluded.details)
  where excluded.version > o.version or excluded.reserved_at < o.reserved_at
    or (o.paid_at is null and excluded.paid_at is not null)
    or (o.released_at is null and excluded.released_at is not null)
    or (o.refunded_at is null and excluded.refunded_at is not null)
    or (o.details is null and excluded.details is not null)`;
