import { type DropId, type OrderId, type PaymentReference, placeOf } from '../domain/ids.ts';
import type { Order, OrderState } from '../domain/order.ts';
import type { OrderDetails } from '../domain/order-details.ts';
import { decodeCursor, type Page, pageOf } from './cursor.ts';
import type { Database } from './database/database.ts';
import type { Payment, PaymentState } from './payments/row.ts';

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

/** An order with the payment that sold it, else its latest one; null where there was none. */
export type Receipt = LedgerOrder & {
  payment: Pick<
    Payment,
    'provider' | 'state' | 'reason' | 'amountRefunded' | 'reference' | 'providerReference'
  > | null;
};

export type Orders = ReturnType<typeof openOrders>;

const columns = `o.id, o.drop_id as "drop", o.lane, o.buyer, o.state, o.item, o.quantity, o.amount,
  o.expires_at as "expiresAt", o.version, o.method, o.reason, o.reserved_at as "reservedAt",
  o.paid_at as "paidAt", o.released_at as "releasedAt", o.refunded_at as "refundedAt", o.details`;

/** Orders as recorded from the lanes' outboxes. Repeats and late arrivals change nothing. */
export function openOrders(database: Database) {
  /**
   * Records a batch from the outbox in one statement: the view with the higher version wins, and
   * the earliest instant of each state is kept, whatever the order of arrival.
   */
  async function upsert(
    events: readonly OrderEvent[],
    further: {
      adjustments?: readonly Adjustment[];
      positions?: readonly OutboxPosition[];
    } = {},
  ): Promise<void> {
    const { adjustments = [], positions = [] } = further;
    if (events.length + adjustments.length + positions.length === 0) return;
    const rows = [mergeEvents(events), adjustments, mergePositions(positions)];
    await database.query(
      upsertSql,
      rows.map((some) => JSON.stringify(some)),
    );
  }

  async function get(id: OrderId): Promise<LedgerOrder | undefined> {
    const [order] = await database.query<LedgerOrder>(
      `select ${columns} from orders o where o.id = $1`,
      [id],
    );
    return order;
  }

  /**
   * Orders with times and payment for their buyers, in the order of the ids; undefined where there is
   * none.
   */
  async function receipts(ids: readonly OrderId[]): Promise<(Receipt | undefined)[]> {
    const rows = await database.query<WithPayment>(`${receiptsSql} where o.id = any($1::text[])`, [
      ids,
    ]);
    const found = new Map(rows.map((row) => [row.id, receiptOf(row)]));
    return ids.map((id) => found.get(id));
  }

  /** A drop's orders, oldest first. A cursor that is not ours begins at the start. */
  async function page(options: {
    drop: DropId;
    cursor?: string | undefined;
    limit: number;
  }): Promise<Page<Receipt>> {
    const place = options.cursor === undefined ? undefined : decodeCursor(options.cursor);
    const rows = await database.query<WithPayment>(
      `${receiptsSql} where o.drop_id = $1 and (o.reserved_at, o.id) > ($2, $3)
       order by o.reserved_at, o.id limit $4`,
      [options.drop, place?.at ?? -1, place?.id ?? '', options.limit + 1],
    );
    return pageOf(rows.map(receiptOf), options.limit, (order) => ({
      at: order.reservedAt,
      id: order.id,
    }));
  }

  /** Every order of a drop, oldest first, read page by page: for exports of any length. */
  async function* stream(drop: DropId, pageSize = 1_000): AsyncGenerator<Receipt> {
    let cursor: string | undefined;
    do {
      const { rows, next } = await page({ drop, cursor, limit: pageSize });
      yield* rows;
      cursor = next;
    } while (cursor !== undefined);
  }

  /**
   * Orders reserved before an instant that are still reserved, oldest first and from `after` on: the
   * redrive settles them again.
   */
  async function stuck(options: {
    reservedBefore: number;
    after?: Pick<LedgerOrder, 'reservedAt' | 'id'> | undefined;
    limit: number;
  }): Promise<LedgerOrder[]> {
    return await database.query<LedgerOrder>(
      `select ${columns} from orders o where o.state = 'reserved' and o.reserved_at < $1
         and (o.reserved_at, o.id) > ($2, $3)
       order by o.reserved_at, o.id limit $4`,
      [
        options.reservedBefore,
        options.after?.reservedAt ?? -1,
        options.after?.id ?? '',
        options.limit,
      ],
    );
  }

  /** Paid orders of cancelled drops, to be refunded. */
  async function toRefund(limit: number): Promise<LedgerOrder[]> {
    return await database.query<LedgerOrder>(
      `select ${columns} from drops d join orders o on o.drop_id = d.id and o.state = 'paid'
       where d.decision = 'cancelled' and d.version > 0 and d.retired_at is null
         and exists (select from payments p where p.order_id = o.id
           and p.state = 'captured' and p.refund_asked_at is null)
       order by o.drop_id, o.reserved_at, o.id limit $1`,
      [limit],
    );
  }

  /** Orders and units of a drop by state, for its report. */
  async function counts(drop: DropId): Promise<Record<OrderState, number>> {
    const rows = await database.query<{ state: OrderState; orders: number }>(
      'select state, count(*) as orders from orders where drop_id = $1 group by state',
      [drop],
    );
    const found = Object.fromEntries(rows.map((row) => [row.state, row.orders]));
    return { reserved: 0, paid: 0, released: 0, refunded: 0, ...found };
  }

  /** How far the outbox of each lane of a drop has been read into the ledger. */
  async function positions(drop: DropId): Promise<OutboxPosition[]> {
    return await database.query<OutboxPosition>(
      `select drop_id as "drop", lane, last_ms || '-' || last_seq as last
       from outbox_positions where drop_id = $1 order by lane`,
      [drop],
    );
  }

  /** The stock edits of a drop, oldest first. */
  async function adjustments(drop: DropId): Promise<Adjustment[]> {
    return await database.query<Adjustment>(
      `select id, drop_id as "drop", lane, item, delta, reason, at
       from adjustments where drop_id = $1 order by at, id, lane`,
      [drop],
    );
  }

  return { upsert, get, receipts, page, stream, stuck, toRefund, counts, positions, adjustments };
}

/** One row for each order of a batch, sorted so that two relays never wait for each other. */
function mergeEvents(events: readonly OrderEvent[]): LedgerOrder[] {
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

function mergePositions(positions: readonly OutboxPosition[]) {
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

/** An order's row joined with its payment's: see receiptsSql. */
type WithPayment = LedgerOrder & {
  provider: string | null;
  paymentState: PaymentState;
  paymentReason: string;
  amountRefunded: number;
  reference: PaymentReference;
  providerReference: string | null;
};

function receiptOf(row: WithPayment): Receipt {
  const { provider, paymentState: state, paymentReason: reason, ...rest } = row;
  const { amountRefunded, reference, providerReference, ...order } = rest;
  const known = { state, reason, amountRefunded, reference, providerReference };
  return { ...order, payment: provider === null ? null : { provider, ...known } };
}

// Refunds are taken from the payment that sold the order: the exact one that is kept, else the one captured
// first. Other captures are surplus, and their refunds are no refunds of the order.
const receiptsSql = `
  select ${columns}, p.provider, p.state as "paymentState", p.reason as "paymentReason",
    p.amount_refunded as "amountRefunded", p.reference, p.provider_reference as "providerReference"
  from orders o
  left join lateral (select provider, state, reason, amount_refunded, reference, provider_reference
    from payments where order_id = o.id
    order by amount_captured = amount and captured_at is not null and refund_asked_at is null desc,
      captured_at nulls last, attempt desc limit 1) p on true`;

const upsertSql = `
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
