import type { BuyerId, DropId, OrderId, PaymentReference } from '../../domain/ids.ts';
import type { OrderState, ReleaseReason } from '../../domain/order.ts';
import type { Database } from '../database/database.ts';
import { readLapses } from './lapses.ts';

/** Units and money of one item of a drop, from its orders in the ledger. */
export type ItemFigures = {
  item: number;
  sku: string;
  /** As created, and with the stock edits recorded since. */
  allotment: number;
  adjusted: number;
  reserved: number;
  paid: number;
  released: number;
  refunded: number;
  amountPaid: number;
};

/** An order whose money does not fit its state. */
export type MoneyMismatch = {
  orderId: OrderId;
  state: string;
  amount: number;
  captured: number;
  refunded: number;
  captures: number;
};

/** An order's result, as far as its lane has it too. */
export type OrderLine = {
  id: OrderId;
  state: OrderState;
  item: number;
  quantity: number;
  amount: number;
  version: number;
  buyer: BuyerId;
};

/** The money of a drop, added up from three sources; in minor units. */
export type DropMoney = {
  captured: number;
  refunded: number;
  /**
   * Captured and kept, by the wallet's book and by its transfers; all charges, with our payments or
   * without.
   */
  walletKept: number;
  transferred: number;
  /** The part of `captured` that went through the wallet, less its refunds. */
  walletPayments: number;
  /** Partial refunds of orders that stay paid. */
  parts: number;
  /** Captured for orders that are still reserved: about to be confirmed. */
  reservedCaptured: number;
  /** In the wallet's book, for recent payments whose outcome is not recorded yet. */
  walletUnrecorded: number;
};

/** How fast a drop sold; times in ms since the epoch, null where nothing was. */
export type Pace = {
  firstReservedAt: number | null;
  lastReservedAt: number | null;
  firstPaidAt: number | null;
  lastPaidAt: number | null;
  reservedPerSecond: number | null;
  paidPerSecond: number | null;
  /** From reserved to paid, in ms. */
  settleMsMedian: number | null;
  settleMs99: number | null;
};

export type Audit = ReturnType<typeof openAudit>;

const rowsMax = 100;
const pageLines = 5_000;

/**
 * The checks of the promises that need the ledger alone. Every list is empty when no promise is broken.
 */
export function openAudit(database: Database) {
  /** Units by item and state. */
  async function items(drop: DropId): Promise<ItemFigures[]> {
    return await database.query<ItemFigures>(
      `select i.position as item, i.sku, i.allotment,
         i.allotment + coalesce(a.delta, 0) as adjusted,
         coalesce(sum(o.quantity) filter (where o.state = 'reserved'), 0) as reserved,
         coalesce(sum(o.quantity) filter (where o.state = 'paid'), 0) as paid,
         coalesce(sum(o.quantity) filter (where o.state = 'released'), 0) as released,
         coalesce(sum(o.quantity) filter (where o.state = 'refunded'), 0) as refunded,
         coalesce(sum(o.amount) filter (where o.state = 'paid'), 0)::bigint as "amountPaid"
       from drop_items i
       left join (select item, sum(delta) as delta from adjustments where drop_id = $1
         group by item) a on a.item = i.position
       left join orders o on o.drop_id = i.drop_id and o.item = i.position
       where i.drop_id = $1
       group by i.position, i.sku, i.allotment, a.delta order by i.position`,
      [drop],
    );
  }

  /** Buyers who hold or own more units of an item than it allows. */
  async function overLimit(
    drop: DropId,
  ): Promise<{ buyer: BuyerId; item: number; units: number; perBuyer: number }[]> {
    return await database.query(
      `select o.buyer, o.item, sum(o.quantity) as units, i.per_buyer as "perBuyer"
       from orders o join drop_items i on i.drop_id = o.drop_id and i.position = o.item
       where o.drop_id = $1 and o.state in ('reserved', 'paid')
       group by o.buyer, o.item, i.per_buyer having sum(o.quantity) > i.per_buyer
       order by units desc, o.buyer limit ${rowsMax}`,
      [drop],
    );
  }

  /** Orders still reserved after their hold and the grace have passed. */
  async function overdue(
    drop: DropId,
    options: { now: number; graceMs: number },
  ): Promise<{ orderId: OrderId; expiresAt: number }[]> {
    return await database.query(
      `select id as "orderId", expires_at as "expiresAt" from orders
       where drop_id = $1 and state = 'reserved' and expires_at < $2
       order by expires_at, id limit ${rowsMax}`,
      [drop, options.now - options.graceMs],
    );
  }

  /**
   * Orders whose payments do not match their state: a paid order has its amount captured exactly once
   * and kept, less partial refunds; any other order has no money kept. Payments without an order are
   * listed with the state ''.
   */
  async function mismatches(drop: DropId): Promise<MoneyMismatch[]> {
    return await database.query<MoneyMismatch>(
      `select coalesce(o.id, p.order_id) as "orderId", coalesce(o.state, '') as state,
         coalesce(o.amount, 0) as amount, coalesce(p.captured, 0) as captured,
         coalesce(p.refunded, 0) as refunded, coalesce(p.captures, 0) as captures
       from (select * from orders where drop_id = $1) o
       full join (
         select order_id, sum(amount_captured)::bigint as captured,
           sum(amount_refunded)::bigint as refunded,
           count(*) filter (where state = 'captured') as captures
         from payments where drop_id = $1 group by order_id) p on p.order_id = o.id
       left join (${partsSql}) g on g.order_id = o.id
       where case when o.state = 'paid'
           then p.captures is distinct from 1
             or p.captured - p.refunded <> o.amount - coalesce(g.parts, 0)
         when o.state = 'reserved' then coalesce(p.refunded, 0) <> 0
         else coalesce(p.captured - p.refunded, 0) <> 0 end
       order by 1 limit ${rowsMax}`,
      [drop],
    );
  }

  /** Payments that differ from the wallet's own book. */
  async function walletMismatches(
    drop: DropId,
  ): Promise<{ reference: PaymentReference; ledger: string; wallet: string }[]> {
    return await database.query(
      `select p.reference, p.state as ledger, coalesce(w.state, 'none') as wallet
       from payments p left join wallet_charges w on w.reference = p.reference
       where p.drop_id = $1 and p.provider = 'wallet' and not case p.state
         when 'captured' then w.state is not distinct from 'captured' and w.amount = p.amount_captured
             and w.amount_refunded = p.amount_refunded
         when 'refunded' then w.state is not distinct from 'refunded' and w.amount = p.amount_refunded
         when 'declined' then coalesce(w.state, 'closed') in ('declined', 'closed')
         else true end
       order by p.reference limit ${rowsMax}`,
      [drop],
    );
  }

  /** Appointments of a drop, and orders of buyers who have none. */
  async function appointments(drop: DropId): Promise<{ count: number; uninvited: string[] }> {
    const [row] = await database.query<{ count: number }>(
      'select count(*) as count from appointments where drop_id = $1 and removed_at is null',
      [drop],
    );
    const orders = await database.query<{ id: OrderId }>(
      `select id from orders o where drop_id = $1 and not exists (
         select from appointments a where a.drop_id = $1 and a.buyer = o.buyer collate "C")
       order by id limit ${rowsMax}`,
      [drop],
    );
    return { count: row?.count ?? 0, uninvited: orders.map(({ id }) => id) };
  }

  /** All orders of a drop in pages, each row as one text: parsing columns costs more than bytes. */
  async function* lines(drop: DropId): AsyncGenerator<OrderLine[]> {
    let last = { at: -1, id: '' };
    for (;;) {
      const rows = await database.query<{ id: OrderId; at: number; line: string }>(
        `select id, reserved_at as at, state || '|' || item || '|' || quantity || '|' || amount
           || '|' || version || '|' || buyer as line
         from orders where drop_id = $1 and (reserved_at, id) > ($2, $3)
         order by reserved_at, id limit ${pageLines}`,
        [drop, last.at, last.id],
      );
      yield rows.map(({ id, line }) => parseLine(id, line));
      if (rows.length < pageLines) return;
      last = rows.at(-1) ?? last;
    }
  }

  /** The money of a drop by payments, by the wallet's book and by its transfers. */
  async function money(drop: DropId, options: { begunSince: number }): Promise<DropMoney> {
    const prefix = `ord_${drop.slice('drop_'.length)}_`;
    const params = [drop, prefix, `pay_${prefix}`, options.begunSince];
    const [row] = await database.query<DropMoney>(moneySql, params);
    if (!row) throw new Error('bug: sums always give a row');
    return row;
  }

  /** Released orders by reason. */
  async function releases(drop: DropId): Promise<Partial<Record<ReleaseReason, number>>> {
    const rows = await database.query<{ reason: ReleaseReason; orders: number }>(
      `select reason, count(*) as orders from orders where drop_id = $1 and state = 'released'
       group by reason order by reason`,
      [drop],
    );
    return Object.fromEntries(rows.map((row) => [row.reason, row.orders]));
  }

  async function pace(drop: DropId): Promise<Pace> {
    const [row] = await database.query<Pace>(paceSql, [drop]);
    if (!row) throw new Error('bug: sums always give a row');
    return row;
  }

  return {
    items,
    overLimit,
    overdue,
    mismatches,
    walletMismatches,
    appointments,
    lines,
    money,
    releases,
    lapses: (drop: DropId) => readLapses(database, drop),
    pace,
  };
}

function parseLine(id: OrderId, line: string): OrderLine {
  const [state, item, quantity, amount, version, ...buyer] = line.split('|');
  return {
    id,
    state: state as OrderState,
    item: Number(item),
    quantity: Number(quantity),
    amount: Number(amount),
    version: Number(version),
    buyer: buyer.join('|'),
  };
}

// Adds up the refunds themselves, to compare with the sums that payments store.
const partsSql = `
  select p.order_id, sum(r.amount)::bigint as parts
  from payments p join refunds r on r.payment = p.reference and r.key is not null
    and (r.state = 'done' or r.dealt_with_at is not null)
  where p.drop_id = $1 and p.state = 'captured' and p.refund_asked_at is null
  group by p.order_id`;

// Charges and transfers are found by the order they name, not through our payments, so that one
// without a payment is counted too.
const moneySql = `
  select p.*, w."walletKept", t.transferred, g.parts, r."reservedCaptured", u."walletUnrecorded" from
    (select coalesce(sum(amount_captured), 0)::bigint as captured,
       coalesce(sum(amount_refunded), 0)::bigint as refunded,
       coalesce(sum(amount_captured - amount_refunded) filter (where provider = 'wallet'), 0)::bigint
         as "walletPayments"
     from payments where drop_id = $1) p,
    (select coalesce(sum(amount - amount_refunded), 0)::bigint as "walletKept" from wallet_charges
     where state = 'captured' and starts_with(order_id, $2)) w,
    (select coalesce(sum(case kind when 'capture' then amount else -amount end), 0)::bigint
       as transferred
     from transfers where kind in ('capture', 'refund') and starts_with(reference, $3)) t,
    (select coalesce(sum(g.parts), 0)::bigint as parts
     from (${partsSql}) g join orders o on o.id = g.order_id
     where o.state = 'paid') g,
    (select coalesce(sum(p.amount_captured - p.amount_refunded), 0)::bigint as "reservedCaptured"
     from orders o join payments p on p.order_id = o.id
     where o.drop_id = $1 and o.state = 'reserved') r,
    (select coalesce(sum(w.amount), 0)::bigint as "walletUnrecorded"
     from payments p join wallet_charges w on w.reference = p.reference and w.state = 'captured'
     where p.drop_id = $1 and p.state in ('started', 'unknown') and p.started_at >= $4) u`;

const paceSql = `
  select min(reserved_at) as "firstReservedAt", max(reserved_at) as "lastReservedAt",
    min(paid_at) as "firstPaidAt", max(paid_at) as "lastPaidAt",
    (count(*) * 1000.0 / nullif(max(reserved_at) - min(reserved_at), 0))::float8
      as "reservedPerSecond",
    (count(paid_at) * 1000.0 / nullif(max(paid_at) - min(paid_at), 0))::float8 as "paidPerSecond",
    percentile_disc(0.5) within group (order by paid_at - reserved_at) as "settleMsMedian",
    percentile_disc(0.99) within group (order by paid_at - reserved_at) as "settleMs99"
  from orders where drop_id = $1`;
