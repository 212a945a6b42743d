import type { Database } from './database.ts';

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
  orderId: string;
  state: string;
  amount: number;
  captured: number;
  refunded: number;
  captures: number;
};

export type Audit = ReturnType<typeof openAudit>;

const rowsMax = 100;

/** The promises as the ledger alone can check them; every list is empty when all is well. */
export function openAudit(database: Database) {
  /** Units by item and state. */
  async function items(drop: string): Promise<ItemFigures[]> {
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
    drop: string,
  ): Promise<{ buyer: string; item: number; units: number; perBuyer: number }[]> {
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
    drop: string,
    options: { now: number; graceMs: number },
  ): Promise<{ orderId: string; expiresAt: number }[]> {
    return await database.query(
      `select id as "orderId", expires_at as "expiresAt" from orders
       where drop_id = $1 and state = 'reserved' and expires_at < $2
       order by expires_at, id limit ${rowsMax}`,
      [drop, options.now - options.graceMs],
    );
  }

  /**
   * Orders whose payments do not come to their state: a paid order has its amount captured exactly
   * once and kept; any other has nothing kept. Payments without an order are told with state ''.
   */
  async function mismatches(drop: string): Promise<MoneyMismatch[]> {
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
       where case when o.state = 'paid'
           then p.captures is distinct from 1 or p.captured - p.refunded <> o.amount
         when o.state = 'reserved' then coalesce(p.refunded, 0) <> 0
         else coalesce(p.captured - p.refunded, 0) <> 0 end
       order by 1 limit ${rowsMax}`,
      [drop],
    );
  }

  /** Payments that the wallet's own book sees otherwise. */
  async function walletMismatches(
    drop: string,
  ): Promise<{ reference: string; ledger: string; wallet: string }[]> {
    return await database.query(
      `select p.reference, p.state as ledger, coalesce(w.state, 'none') as wallet
       from payments p left join wallet_charges w on w.reference = p.reference
       where p.drop_id = $1 and p.provider = 'wallet' and not case p.state
         when 'captured' then w.state is not distinct from 'captured' and w.amount = p.amount_captured
         when 'refunded' then w.state is not distinct from 'refunded' and w.amount = p.amount_refunded
         when 'declined' then coalesce(w.state, 'closed') in ('declined', 'closed')
         else true end
       order by p.reference limit ${rowsMax}`,
      [drop],
    );
  }

  return { items, overLimit, overdue, mismatches, walletMismatches };
}
