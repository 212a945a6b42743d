import type { Clock } from '../../domain/clock.ts';
import type { BuyerId, OrderId } from '../../domain/ids.ts';
import type { Database, Query } from '../database/database.ts';

/** What may leave a wallet without its password within this time has a bound. */
export const allowanceMs = 24 * 3_600_000;

/** An order that the engine is to charge to a wallet without the payment password. */
export type Allowable = {
  orderId: OrderId;
  buyer: BuyerId;
  currency: string;
  /** Minor units. */
  amount: number;
  /** What the orders of this wallet may come to in a day, this one included; minor units. */
  limit: number;
};

export type WalletAllowances = ReturnType<typeof openWalletAllowances>;

/**
 * Decides which orders the engine may charge to a wallet by itself: those that, with all that it charged
 * so to the same wallet in the last day, stay within their drop's limit. A decision is kept with the
 * order, so it is made once, and two of the same wallet are made one after the other.
 */
export function openWalletAllowances(database: Database, clock: Clock) {
  /** @returns the orders that are allowed */
  async function allow(orders: readonly Allowable[]): Promise<Set<OrderId>> {
    if (orders.length === 0) return new Set();
    return await database.transaction(async (query) => {
      await query(lockSql, [JSON.stringify(orders)]);
      const decided = await decisions(
        query,
        orders.map(({ orderId }) => orderId),
      );
      const fresh = orders.filter(({ orderId }) => !decided.has(orderId));
      const spent = await spentOf(query, fresh);
      const rows = fresh.map((order) => {
        const { orderId, buyer, currency, amount, limit } = order;
        const before = spent.get(walletOf(order)) ?? 0;
        const allowed = before + amount <= limit;
        if (allowed) spent.set(walletOf(order), before + amount);
        decided.set(orderId, allowed);
        return { orderId, buyer, currency, amount, allowed };
      });
      if (rows.length > 0) await query(insertSql, [JSON.stringify(rows), clock.now()]);
      return new Set([...decided].flatMap(([id, allowed]) => (allowed ? [id] : [])));
    });
  }

  /** For each order, whether it was decided that it needs the password. */
  async function areRefused(ids: readonly OrderId[]): Promise<boolean[]> {
    if (ids.length === 0) return [];
    const decided = await decisions(database.query, ids);
    return ids.map((id) => decided.get(id) === false);
  }

  async function decisions(query: Query, ids: readonly OrderId[]): Promise<Map<OrderId, boolean>> {
    const rows = await query<{ id: OrderId; allowed: boolean }>(
      'select order_id as id, allowed from wallet_allowances where order_id = any($1::text[])',
      [ids],
    );
    return new Map(rows.map(({ id, allowed }) => [id, allowed]));
  }

  /** What each wallet has paid without its password in the last day, or is about to. */
  async function spentOf(query: Query, orders: readonly Allowable[]): Promise<Map<string, number>> {
    if (orders.length === 0) return new Map();
    const rows = await query<{ buyer: BuyerId; currency: string; spent: number }>(spentSql, [
      [...new Set(orders.map(({ buyer }) => buyer))],
      clock.now() - allowanceMs,
    ]);
    return new Map(rows.map((row) => [walletOf(row), row.spent]));
  }

  return { allow, areRefused };
}

function walletOf({ buyer, currency }: { buyer: BuyerId; currency: string }): string {
  return `${currency}:${buyer}`;
}

/** Locks the wallets in one order, so that two transactions never wait for each other. */
const lockSql = `
  select pg_advisory_xact_lock(wallet) from (
    select distinct hashtextextended(r.currency || ':' || r.buyer, 16) as wallet
    from json_to_recordset($1::json) as r(buyer text, currency text) order by 1) as wallets`;

const spentSql = `
  select a.buyer, a.currency, sum(a.amount)::bigint as spent from wallet_allowances a
  where a.allowed and a.buyer = any($1::text[]) and a.decided_at > $2
    and not exists (select 1 from wallet_charges w
      where w.order_id = a.order_id and w.state in ('declined', 'closed'))
  group by a.buyer, a.currency`;

const insertSql = `
  insert into wallet_allowances (order_id, buyer, currency, amount, allowed, decided_at)
  select "orderId", buyer, currency, amount, allowed, $2
  from json_to_recordset($1::json) as r("orderId" text, buyer text, currency text, amount bigint,
    allowed boolean)
  on conflict do nothing`;
