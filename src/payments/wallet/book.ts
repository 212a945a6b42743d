import type { Clock } from '../../domain/clock.ts';
import type { PayableId, PaymentReference } from '../../domain/ids.ts';
import { required } from '../../domain/required.ts';
import type { Query } from '../../ledger/database/database.ts';
import type { AccountRef } from '../../ledger/wallet/account.ts';
import type { DeclineReason } from '../provider.ts';

/** A charge in the wallet's book. */
export type BookEntry = {
  reference: PaymentReference;
  /** '' when the reference was closed before it was charged. */
  orderId: PayableId | '';
  /** Ids of the accounts; null when the reference was closed before it was charged. */
  buyerAccount: number | null;
  merchantAccount: number | null;
  /** Minor units, charged and refunded since. */
  amount: number;
  refunded: number;
  state: 'captured' | 'declined' | 'closed' | 'refunded';
  reason: DeclineReason | '';
};

export type Book = ReturnType<typeof openBook>;

/** The wallet's book: the table wallet_charges, an entry for each reference. */
export function openBook(clock: Clock) {
  /** Entries by reference; with `lock` they stay locked until the transaction ends. */
  async function find(
    query: Query,
    references: readonly PaymentReference[],
    { lock = false }: { lock?: boolean } = {},
  ): Promise<Map<string, BookEntry>> {
    const rows = await query<BookEntry>(
      `select reference, order_id as "orderId", buyer_account as "buyerAccount",
         merchant_account as "merchantAccount", amount, amount_refunded as refunded, state, reason
       from wallet_charges where reference = any($1::text[])
       ${lock ? 'order by reference for update' : ''}`,
      [references],
    );
    return new Map(rows.map((row) => [row.reference, row]));
  }

  /**
   * Writes entries whose references are not in the book. A reference that another transaction is
   * writing is waited for.
   * @returns how many were written
   */
  async function insert(query: Query, entries: readonly BookEntry[]): Promise<number> {
    if (entries.length === 0) return 0;
    const rows = await query(insertSql, [JSON.stringify(entries), clock.now()]);
    return rows.length;
  }

  /** Writes the `refunded` amounts of entries. */
  async function saveRefunded(query: Query, entries: readonly BookEntry[]): Promise<void> {
    await query(refundSql, [JSON.stringify(entries), clock.now()]);
  }

  /** The accounts of these charges, to be locked before their entries are. */
  async function accountsOf(
    query: Query,
    references: readonly PaymentReference[],
  ): Promise<AccountRef[]> {
    return await query<AccountRef>(
      `select distinct a.kind, a.owner, a.currency, a.slot from wallet_charges w
       join accounts a on a.id in (w.buyer_account, w.merchant_account)
       where w.reference = any($1::text[])`,
      [references],
    );
  }

  return { find, insert, saveRefunded, accountsOf };
}

/** The account ids of a charge that was captured: such an entry always has both. */
export function accountIdsOf({ reference, buyerAccount, merchantAccount }: BookEntry): {
  buyer: number;
  merchant: number;
} {
  return {
    buyer: required(buyerAccount, `buyer's account of ${reference}`),
    merchant: required(merchantAccount, `merchant's account of ${reference}`),
  };
}

const insertSql = `
  insert into wallet_charges (reference, order_id, buyer_account, merchant_account, amount, state,
    reason, created_at)
  select reference, "orderId", "buyerAccount", "merchantAccount", amount, state, reason, $2
  from json_to_recordset($1::json) as r(reference text, "orderId" text, "buyerAccount" bigint,
    "merchantAccount" bigint, amount bigint, state text, reason text)
  order by reference collate "C"
  on conflict do nothing
  returning reference`;

const refundSql = `
  update wallet_charges w set amount_refunded = r.refunded,
    state = case when r.refunded = w.amount then 'refunded' else w.state end,
    refunded_at = case when r.refunded = w.amount then $2 else w.refunded_at end
  from json_to_recordset($1::json) as r(reference text, refunded bigint)
  where w.reference = r.reference collate "C"`;
