import type { BuyerId, DropId, OrderId, PaymentReference } from '../domain/ids.ts';
import type { OrderState } from '../domain/order.ts';
import { decodeCursor, type Page, pageOf } from './cursor.ts';
import type { Database } from './database/database.ts';
import {
  type Adjustment,
  type LedgerOrder,
  mergeEvents,
  mergePositions,
  type OrderEvent,
  type OutboxPosition,
  upsertSql,
} from './order-events.ts';
import { conditionOf, type OrderFilter } from './order-filter.ts';
import type { Payment, PaymentState } from './payments/row.ts';

/** An order with the payment that sold it, else its latest one; null where there was none. */
export type Receipt = LedgerOrder & {
  payment: Pick<
    Payment,
    'provider' | 'state' | 'reason' | 'amountRefunded' | 'reference' | 'providerReference'
  > | null;
};

export type { Adjustment, LedgerOrder, OrderEvent, OutboxPosition };
export type Orders = ReturnType<typeof openOrders>;

const columns = `o.id, o.drop_id as "drop", o.lane, o.buyer, o.state, o.item, o.quantity, o.amount,
  o.expires_at as "expiresAt", o.version, o.method, o.reason, o.reserved_at as "reservedAt",
  o.paid_at as "paidAt", o.released_at as "releasedAt", o.refunded_at as "refundedAt", o.details`;

/** Ids that an export by `q` holds at once: some megabytes. */
const foundMax = 50_000;

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

  /** The orders of a drop that a filter wants, oldest first. A cursor that is not ours begins at the start. */
  async function page(options: {
    drop: DropId;
    filter?: OrderFilter | undefined;
    cursor?: string | undefined;
    limit: number;
  }): Promise<Page<Receipt>> {
    const place = options.cursor === undefined ? undefined : decodeCursor(options.cursor);
    const { sql, params } = conditionOf(options.drop, options.filter ?? {}, 4);
    const rows = await database.query<WithPayment>(
      `${receiptsSql} where (o.reserved_at, o.id) > ($1, $2) and ${sql}
       order by o.reserved_at, o.id limit $3`,
      [place?.at ?? -1, place?.id ?? '', options.limit + 1, ...params],
    );
    return pageOf(rows.map(receiptOf), options.limit, (order) => ({
      at: order.reservedAt,
      id: order.id,
    }));
  }

  /** A buyer's orders, newest first: their ids. */
  async function ofBuyer(
    buyer: BuyerId,
    options: { cursor?: string | undefined; limit: number },
  ): Promise<Page<Pick<LedgerOrder, 'id' | 'reservedAt'>>> {
    const place = options.cursor === undefined ? undefined : decodeCursor(options.cursor);
    const rows = await database.query<Pick<LedgerOrder, 'id' | 'reservedAt'>>(
      `select id, reserved_at as "reservedAt" from orders
       where buyer = $1 and (reserved_at, id) < ($2, $3)
       order by reserved_at desc, id desc limit $4`,
      [buyer, place?.at ?? Number.MAX_SAFE_INTEGER, place?.id ?? '', options.limit + 1],
    );
    return pageOf(rows, options.limit, (order) => ({ at: order.reservedAt, id: order.id }));
  }

  /** Those orders all, read page by page: for exports of any length. */
  async function* stream(
    drop: DropId,
    filter: OrderFilter = {},
    pageSize = 1_000,
  ): AsyncGenerator<Receipt> {
    if (filter.q !== undefined) {
      yield* streamFound(drop, filter, pageSize);
      return;
    }
    let cursor: string | undefined;
    do {
      const { rows, next } = await page({ drop, filter, cursor, limit: pageSize });
      yield* rows;
      cursor = next;
    } while (cursor !== undefined);
  }

  /** What `q` finds is found once for many pages: each search for it looks at all of it. */
  async function* streamFound(
    drop: DropId,
    filter: OrderFilter,
    pageSize: number,
  ): AsyncGenerator<Receipt> {
    const { sql, params } = conditionOf(drop, filter, 4);
    let last: Pick<LedgerOrder, 'id' | 'reservedAt'> | undefined;
    do {
      const found = await database.query<Pick<LedgerOrder, 'id' | 'reservedAt'>>(
        `select o.id, o.reserved_at as "reservedAt" from orders o
         where (o.reserved_at, o.id) > ($1, $2) and ${sql} order by o.reserved_at, o.id limit $3`,
        [last?.reservedAt ?? -1, last?.id ?? '', foundMax, ...params],
      );
      for (let at = 0; at < found.length; at += pageSize) {
        const ids = found.slice(at, at + pageSize).map(({ id }) => id);
        for (const order of await receipts(ids)) if (order) yield order;
      }
      last = found.length < foundMax ? undefined : found.at(-1);
    } while (last);
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

  /** Paid orders of cancelled drops, to be refunded, from `after` on. */
  async function toRefund(options: {
    after?: Pick<LedgerOrder, 'drop' | 'reservedAt' | 'id'> | undefined;
    limit: number;
  }): Promise<LedgerOrder[]> {
    const { after, limit } = options;
    return await database.query<LedgerOrder>(
      `select ${columns} from drops d join orders o on o.drop_id = d.id and o.state = 'paid'
       where d.decision = 'cancelled' and d.version > 0 and d.retired_at is null
         and exists (select from payments p where p.order_id = o.id
           and p.state = 'captured' and p.refund_asked_at is null)
         and (o.drop_id, o.reserved_at, o.id) > ($2, $3, $4)
       order by o.drop_id, o.reserved_at, o.id limit $1`,
      [limit, after?.drop ?? '', after?.reservedAt ?? -1, after?.id ?? ''],
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

  return {
    upsert,
    get,
    receipts,
    page,
    ofBuyer,
    stream,
    stuck,
    toRefund,
    counts,
    positions,
    adjustments,
  };
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
