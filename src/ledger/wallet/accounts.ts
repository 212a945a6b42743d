import { randomInt } from 'node:crypto';
import { type Clock, systemClock } from '../../domain/clock.ts';
import type { BuyerId } from '../../domain/ids.ts';
import { assertWhole } from '../../domain/money.ts';
import { found, required } from '../../domain/required.ts';
import type { Database, Query } from '../database/database.ts';
import { type Account, type AccountRef, accountKey, type TransferKind } from './account.ts';
import { openEntries } from './entries.ts';

/** Money that leaves the `debit` account and arrives in the `credit` account, in minor units. */
export type Transfer = {
  kind: TransferKind;
  /** Unique within its kind. */
  reference: string;
  debit: number;
  credit: number;
  amount: number;
};

/** Money added to a buyer's wallet. */
export type TopUp = {
  buyer: BuyerId;
  currency: string;
  /** Minor units. */
  amount: number;
  /** Unique: the same reference adds money once. */
  reference: string;
  /** The provider that took the money; absent for a gift, as in the demo. */
  from?: string | undefined;
};

/** The balance is the wallet's after the top-up, in minor units. */
export type ToppedUp = { kind: 'done'; balance: number } | { kind: 'reused' };

/**
 * The accounts that a transaction has locked.
 * @throws Error `bug: no locked account …` for one that it has not
 */
export type LockedAccounts = (ref: AccountRef) => Account;

/** Money taken from a buyer's wallet (`capture`) or given back (`refund`), in minor units. */
export type Movement = {
  buyer: BuyerId;
  kind: 'capture' | 'refund';
  reference: string;
  amount: number;
  currency: string;
};

export type Accounts = ReturnType<typeof openAccounts>;

/** The owner of the account that gifts are paid from; its balance is minus the sum of all gifts. */
const fundingOwner = 'topups';

/**
 * Rows of a merchant's account: this many workers, of all processes together, can write to it at once.
 */
const merchantSlots = 16;

/** Accounts and the double-entry transfers between them. All balances together are zero. */
export function openAccounts(
  database: Database,
  clock: Clock = systemClock,
  { slots = merchantSlots }: { slots?: number } = {},
) {
  let lastSlot = randomInt(slots);

  /**
   * Locks the accounts of a transaction, and opens those that are missing with a balance of 0. Of a
   * merchant's account one slot is locked, another one with each call. To be called once in a
   * transaction: it locks in the one order that all transactions keep, so two workers never deadlock.
   */
  async function lock(query: Query, refs: readonly AccountRef[]): Promise<LockedAccounts> {
    lastSlot = (lastSlot + 1) % slots;
    const each = refs.map((ref) => ({ slot: ref.kind === 'merchant' ? lastSlot : 0, ...ref }));
    const distinct = new Map(each.map((ref) => [`${ref.slot}:${accountKey(ref)}`, ref]));
    const json = JSON.stringify([...distinct.values()]);
    let rows = await query<Account>(lockSql, [json]);
    if (rows.length < distinct.size) {
      await query(openSql, [json, clock.now(), slots - 1]);
      rows = await query<Account>(lockSql, [json]);
    }
    const locked = new Map(rows.map((row) => [accountKey(row), row]));
    return (ref) => found(locked, accountKey(ref), 'locked account');
  }

  /**
   * Writes transfers and changes the balances of their accounts, whose locks the caller holds.
   * @throws the database's error for an overdraft or a reference that its kind has already
   */
  async function post(query: Query, transfers: readonly Transfer[]): Promise<void> {
    if (transfers.length === 0) return;
    const deltas = new Map<number, number>();
    for (const { debit, credit, amount } of transfers) {
      assertWhole(amount, 'the amount of a transfer');
      deltas.set(debit, (deltas.get(debit) ?? 0) - amount);
      deltas.set(credit, (deltas.get(credit) ?? 0) + amount);
    }
    await query(postSql, [
      JSON.stringify(transfers),
      JSON.stringify([...deltas].map(([id, delta]) => ({ id, delta }))),
      clock.now(),
    ]);
  }

  /** The amounts of transfers of a kind that are posted, by reference; minor units. */
  async function posted(
    query: Query,
    kind: TransferKind,
    references: readonly string[],
  ): Promise<Map<string, number>> {
    const rows = await query<{ reference: string; amount: number }>(
      'select reference, amount from transfers where kind = $1 and reference = any($2::text[])',
      [kind, references],
    );
    return new Map(rows.map((row) => [row.reference, row.amount]));
  }

  /**
   * Adds money to a buyer's wallet, once per reference. The same reference with another buyer or
   * amount is refused as `reused`.
   */
  async function topUp(wanted: TopUp): Promise<ToppedUp> {
    const [done] = await topUpAll([wanted]);
    return required(done, 'answer to a top-up');
  }

  /** The same for many wallets in one transaction. */
  async function topUpAll(wanted: readonly TopUp[]): Promise<ToppedUp[]> {
    return await database.transaction(async (query) => {
      const locked = await lock(query, [...wanted.map(buyerRef), ...wanted.map(fundRef)]);
      const rows = await query<{ reference: string; credit: number; amount: number }>(
        `select reference, credit_account as credit, amount from transfers
         where kind = 'topup' and reference = any($1::text[])`,
        [wanted.map(({ reference }) => reference)],
      );
      const posted = new Map(rows.map((row) => [row.reference, row]));
      const fresh: Transfer[] = [];
      const answers = wanted.map((one): ToppedUp => {
        const { reference, amount } = one;
        const buyer = locked(buyerRef(one));
        const earlier = posted.get(reference);
        if (earlier) {
          const isSame = earlier.credit === buyer.id && earlier.amount === amount;
          return isSame ? { kind: 'done', balance: buyer.balance } : { kind: 'reused' };
        }
        posted.set(reference, { reference, credit: buyer.id, amount });
        fresh.push({
          kind: 'topup',
          reference,
          debit: locked(fundRef(one)).id,
          credit: buyer.id,
          amount,
        });
        buyer.balance += amount;
        return { kind: 'done', balance: buyer.balance };
      });
      await post(query, fresh);
      return answers;
    });
  }

  /** An account's balance in minor units; 0 for one that was never used. */
  async function balance(ref: AccountRef): Promise<number> {
    const [row] = await database.query<{ balance: number }>(
      `select coalesce(sum(balance), 0)::bigint as balance from accounts
       where kind = $1 and owner = $2 and currency = $3`,
      [ref.kind, ref.owner, ref.currency],
    );
    return row?.balance ?? 0;
  }

  /** A buyer's accounts, one for each currency. */
  async function ofBuyer(buyer: BuyerId): Promise<Account[]> {
    return await database.query<Account>(
      `select id, kind, owner, currency, balance from accounts
       where kind = 'buyer' and owner = $1 order by currency`,
      [buyer],
    );
  }

  /**
   * Adds up all accounts. In sound books `sum`, the sum of all balances, is zero and `drifted`, the
   * accounts whose balance differs from the sum of their transfers, is empty.
   */
  async function trialBalance(): Promise<{ sum: number; accounts: number; drifted: Account[] }> {
    const [total] = await database.query<{ sum: number; accounts: number }>(
      'select coalesce(sum(balance), 0)::bigint as sum, count(*) as accounts from accounts',
    );
    const drifted = await database.query<Account>(driftSql);
    return { sum: total?.sum ?? 0, accounts: total?.accounts ?? 0, drifted };
  }

  /** All captures and refunds of these buyers' wallets. */
  async function statements(buyers: readonly string[]): Promise<Movement[]> {
    return await database.query<Movement>(statementsSql, [buyers]);
  }

  return {
    lock,
    post,
    posted,
    topUp,
    topUpAll,
    balance,
    ofBuyer,
    statements,
    trialBalance,
    ...openEntries(database),
  };
}

function buyerRef({ buyer, currency }: TopUp): AccountRef {
  return { kind: 'buyer', owner: buyer, currency };
}

function fundRef({ currency, from = fundingOwner }: TopUp): AccountRef {
  return { kind: 'funding', owner: from, currency };
}

// Accounts that many transactions share come last, so that their locks are held for the shortest time.
const lockSql = `
  select a.id, a.kind, a.owner, a.currency, a.balance
  from json_to_recordset($1::json) as r(kind text, owner text, currency text, slot smallint)
  join accounts a on a.kind = r.kind and a.owner = r.owner and a.currency = r.currency
    and a.slot = r.slot
  order by a.kind = 'funding', a.kind = 'merchant', a.id
  for update of a`;

/**
 * Opens all slots of a merchant's account at once, so that a sale waits for one opening, not for many.
 */
const openSql = `
  insert into accounts (kind, owner, currency, slot, created_at)
  select distinct kind, owner, currency, s.slot, $2::bigint
  from json_to_recordset($1::json) as r(kind text, owner text, currency text),
    generate_series(0, case when kind = 'merchant' then $3 else 0 end) as s(slot)
  order by 1, 2, 3, 4
  on conflict do nothing`;

const postSql = `
  with moved as (
    update accounts a set balance = a.balance + r.delta
    from json_to_recordset($2::json) as r(id bigint, delta bigint) where a.id = r.id)
  insert into transfers (kind, reference, debit_account, credit_account, amount, created_at)
  select kind, reference, debit, credit, amount, $3
  from json_to_recordset($1::json) as r(kind text, reference text, debit bigint, credit bigint,
    amount bigint)`;

const driftSql = `
  select a.id, a.kind, a.owner, a.currency, a.balance from accounts a
  left join (select credit_account as id, sum(amount) as total from transfers group by 1) c
    on c.id = a.id
  left join (select debit_account as id, sum(amount) as total from transfers group by 1) d
    on d.id = a.id
  where a.balance <> coalesce(c.total, 0) - coalesce(d.total, 0)
  order by a.id limit 100`;

const statementsSql = `
  with wallets as (
    select id, owner, currency from accounts where kind = 'buyer' and owner = any($1::text[]))
  select owner as buyer, kind, reference, amount, currency
  from wallets join transfers on debit_account = wallets.id where kind = 'capture'
  union all
  select owner, kind, reference, amount, currency
  from wallets join transfers on credit_account = wallets.id where kind = 'refund'
  order by buyer, kind, reference`;
