import { randomInt } from 'node:crypto';
import { type Clock, systemClock } from '../../domain/clock.ts';
import { assertWhole } from '../../domain/money.ts';
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

/** Money that comes into a buyer's wallet; `reference` makes it come once. */
export type TopUp = {
  buyer: string;
  currency: string;
  amount: number;
  reference: string;
  /** The provider that took the money; given for nothing, as a demo does, when absent. */
  from?: string | undefined;
};

/** Money taken from a buyer's wallet (`capture`) or given back (`refund`), in minor units. */
export type Movement = {
  buyer: string;
  kind: 'capture' | 'refund';
  reference: string;
  amount: number;
  currency: string;
};

export type Accounts = ReturnType<typeof openAccounts>;

/** The owner of the account from which gifts come; its balance is what was ever given, negated. */
const fundingOwner = 'topups';

/** Rows of a merchant's account: workers at once, of all processes, that need not wait for each other. */
const merchantSlots = 16;

/** Accounts and the double-entry transfers between them. All balances together are zero. */
export function openAccounts(
  database: Database,
  clock: Clock = systemClock,
  { slots = merchantSlots }: { slots?: number } = {},
) {
  let lastSlot = randomInt(slots);

  /**
   * Locks the accounts of a transaction, opening with balance 0 those that are missing, and gives
   * them by `accountKey`; of a merchant's account one slot, the next one each time. One call per
   * transaction: it takes them in the one order that everybody takes them in, which is what keeps
   * two workers from waiting for each other.
   */
  async function lock(query: Query, refs: readonly AccountRef[]): Promise<Map<string, Account>> {
    lastSlot = (lastSlot + 1) % slots;
    const each = refs.map((ref) => ({ slot: ref.kind === 'merchant' ? lastSlot : 0, ...ref }));
    const wanted = [
      ...new Map(each.map((ref) => [`${ref.slot}:${accountKey(ref)}`, ref])).values(),
    ];
    const json = JSON.stringify(wanted);
    let rows = await query<Account>(lockSql, [json]);
    if (rows.length < wanted.length) {
      await query(openSql, [json, clock.now(), slots - 1]);
      rows = await query<Account>(lockSql, [json]);
    }
    return new Map(rows.map((row) => [accountKey(row), row]));
  }

  /**
   * Writes transfers and moves the balances of their accounts, each account once. The caller holds
   * the accounts' locks. A reference that its kind already has, or an overdraft, fails the whole.
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

  /** Which references of a kind have been posted before, and for how much. */
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
   * Adds money to a buyer's wallet, once per reference; gives the balance. The same reference with
   * another buyer or amount is refused as `reused`.
   */
  async function topUp(
    wanted: TopUp,
  ): Promise<{ kind: 'done'; balance: number } | { kind: 'reused' }> {
    const [done] = await topUpAll([wanted]);
    return done ?? { kind: 'reused' };
  }

  /** The same for many wallets in one transaction, each reference at most once. */
  async function topUpAll(
    wanted: readonly TopUp[],
  ): Promise<({ kind: 'done'; balance: number } | { kind: 'reused' })[]> {
    return await database.transaction(async (query) => {
      const locked = await lock(query, [...wanted.map(buyerRef), ...wanted.map(fundRef)]);
      const before = await query<{ reference: string; credit: number; amount: number }>(
        `select reference, credit_account as credit, amount from transfers
         where kind = 'topup' and reference = any($1::text[])`,
        [wanted.map(({ reference }) => reference)],
      );
      const known = new Map(before.map((row) => [row.reference, row]));
      const fresh: Transfer[] = [];
      const answers = wanted.map((one) => {
        const { reference, amount } = one;
        const buyer = locked.get(accountKey(buyerRef(one))) as Account;
        const earlier = known.get(reference);
        if (earlier) {
          const same = earlier.credit === buyer.id && earlier.amount === amount;
          return same
            ? { kind: 'done' as const, balance: buyer.balance }
            : { kind: 'reused' as const };
        }
        const fund = locked.get(accountKey(fundRef(one))) as Account;
        known.set(reference, { reference, credit: buyer.id, amount });
        fresh.push({ kind: 'topup', reference, debit: fund.id, credit: buyer.id, amount });
        buyer.balance += amount;
        return { kind: 'done' as const, balance: buyer.balance };
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
  async function ofBuyer(buyer: string): Promise<Account[]> {
    return await database.query<Account>(
      `select id, kind, owner, currency, balance from accounts
       where kind = 'buyer' and owner = $1 order by currency`,
      [buyer],
    );
  }

  /**
   * Adds up the books: `sum` of all balances is zero, and `drifted` names the accounts whose
   * balance is not what their transfers come to. Anything else is a fault.
   */
  async function trialBalance(): Promise<{ sum: number; accounts: number; drifted: Account[] }> {
    const [total] = await database.query<{ sum: number; accounts: number }>(
      'select coalesce(sum(balance), 0)::bigint as sum, count(*) as accounts from accounts',
    );
    const drifted = await database.query<Account>(driftSql);
    return { sum: total?.sum ?? 0, accounts: total?.accounts ?? 0, drifted };
  }

  /** What moved between buyers' wallets and merchants, for many buyers: the wallet's own book. */
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

// The hot accounts come last, so that they are held for the shortest time.
const lockSql = `
  select a.id, a.kind, a.owner, a.currency, a.balance
  from json_to_recordset($1::json) as r(kind text, owner text, currency text, slot smallint)
  join accounts a on a.kind = r.kind and a.owner = r.owner and a.currency = r.currency
    and a.slot = r.slot
  order by a.kind = 'funding', a.kind = 'merchant', a.id
  for update of a`;

/** All slots of a merchant's account at once, so that a sale waits for one opening and not for many. */
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
