import type { Database } from '../database/database.ts';
import type { AccountRef, TransferKind } from './account.ts';

/** A movement of an account: `amount` (minor units) is negative when money left it. */
export type Entry = {
  id: number;
  kind: TransferKind;
  reference: string;
  amount: number;
  /** The balance after it. */
  balance: number;
  at: number;
};

/** Where a page ended: the last entry on it, and the balance before that one. */
export type EntryPlace = { id: number; balance: number };

export type Statement = {
  /** The balance when the statement was begun, which the entries add up to. */
  balance: number;
  /** Oldest first; read page by page. */
  entries: AsyncGenerator<Entry>;
};

/** Statements exist for buyers only: a buyer's account is one row, whose lock orders its transfers. */
export type BuyerRef = AccountRef & { kind: 'buyer' };

type Row = Omit<Entry, 'balance'>;

const pageSize = 1_000;

/**
 * The entries of accounts. Transfers store no balance: a page is computed from the balance at its
 * edge, so its cost does not grow with the account's history. An account's transfers get their ids
 * under its lock, so none ever appears before one that was already read.
 */
export function openEntries(database: Database) {
  /**
   * A page of an account's entries, newest first. `next` is where the following page begins. The
   * balance in `before` is not checked.
   */
  async function entries(
    ref: BuyerRef,
    options: { before?: EntryPlace | undefined; limit: number },
  ): Promise<{ rows: Entry[]; next?: EntryPlace }> {
    const { before, limit } = options;
    const found = await database.query<Row & { current: number }>(newestSql, [
      ...[ref.kind, ref.owner, ref.currency],
      ...[before?.id ?? Number.MAX_SAFE_INTEGER, limit + 1],
    ]);
    let balance = before?.balance ?? found[0]?.current ?? 0;
    const rows = found.slice(0, limit).map(({ current: _, ...row }) => {
      const entry = { ...row, balance };
      balance -= row.amount;
      return entry;
    });
    const last = rows.at(-1);
    return found.length > limit && last ? { rows, next: { id: last.id, balance } } : { rows };
  }

  /** All entries of an account until now; later transfers are not in it. */
  async function statement(ref: BuyerRef): Promise<Statement> {
    const [end] = await database.query<{ balance: number; last: number | null }>(endSql, [
      ...[ref.kind, ref.owner, ref.currency],
    ]);
    const { balance = 0, last } = end ?? {};
    return { balance, entries: upTo(ref, { balance, last: last ?? 0 }) };
  }

  async function* upTo(
    ref: BuyerRef,
    end: { balance: number; last: number },
  ): AsyncGenerator<Entry> {
    let [after, balance] = [0, 0];
    while (after < end.last) {
      const rows = await database.query<Row>(oldestSql, [
        ...[ref.kind, ref.owner, ref.currency, after, end.last, pageSize],
      ]);
      if (rows.length === 0) break;
      for (const row of rows) {
        balance += row.amount;
        yield { ...row, balance };
      }
      after = rows.at(-1)?.id ?? end.last;
    }
    if (balance !== end.balance) {
      throw new Error(`the entries of an account come to ${balance}, and it has ${end.balance}`);
    }
  }

  return { entries, statement };
}

/** One side of an account's transfers, read along its index and no further than one page. */
function side(name: 'debit' | 'credit', page: string): string {
  const amount = name === 'debit' ? '-t.amount' : 't.amount';
  return `(select t.id, t.kind, t.reference, ${amount} as amount, t.created_at as at
    from transfers t where t.${name}_account = a.id and ${page})`;
}

function both(page: string): string {
  return `${side('debit', page)} union all ${side('credit', page)}`;
}

const newestSql = `
  select e.*, a.balance as current from accounts a cross join lateral (
    ${both('t.id < $4 order by t.id desc limit $5')}) as e
  where a.kind = $1 and a.owner = $2 and a.currency = $3
  order by e.id desc limit $5`;

const endSql = `
  select a.balance, greatest(
    (select max(t.id) from transfers t where t.debit_account = a.id),
    (select max(t.id) from transfers t where t.credit_account = a.id)) as last
  from accounts a where a.kind = $1 and a.owner = $2 and a.currency = $3`;

const oldestSql = `
  select e.* from accounts a cross join lateral (
    ${both('t.id > $4 and t.id <= $5 order by t.id limit $6')}) as e
  where a.kind = $1 and a.owner = $2 and a.currency = $3
  order by e.id limit $6`;
