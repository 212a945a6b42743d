import type { DropId, OrderId } from '../../domain/ids.ts';
import type { OrderState } from '../../domain/order.ts';
import type { Database } from '../database/database.ts';
import type { Refund } from '../payments/refunds.ts';
import type { Place } from './reconciliations.ts';

export type ReconciliationQueries = ReturnType<typeof openReconciliationQueries>;

type Slice<Id extends string = string> = {
  since: number;
  after: Place<Id> | undefined;
  limit: number;
};

/** A refund's row. */
export type WatchedRefund = Pick<
  Refund,
  | 'reference'
  | 'payment'
  | 'number'
  | 'amount'
  | 'reason'
  | 'state'
  | 'note'
  | 'askedAt'
  | 'dealtWithAt'
> & {
  /** When an operator noted that nobody will pay it after it had failed: that only ends its alarm. */
  givenUpAt: number | null;
};

const refundColumns = `reference, payment, number, amount, reason, state, note, asked_at as "askedAt",
  dealt_with_at as "dealtWithAt", given_up_at as "givenUpAt"`;

/**
 * How long after its beginning a payment may change and is still found by the time of its beginning,
 * ms.
 */
const changesMs = 24 * 3_600_000;

/** The contents of the ledger in a window of time: ids only; the rows are read again when compared. */
export function openReconciliationQueries(database: Database) {
  const references = (rows: { id: string }[]) => rows.map(({ id }) => id);

  /**
   * Payments of any age that are not over (open, polled, being refunded, or with a failed refund), and
   * payments with a refund that changed or a notification that came since an instant, in the order of
   * their references.
   */
  async function unfinished(slice: {
    since: number;
    after?: string | undefined;
    limit: number;
  }): Promise<string[]> {
    const { since, after = '', limit } = slice;
    return references(await database.query<{ id: string }>(unfinishedSql, [since, limit, after]));
  }

  /** Payments begun or changed since an instant, in the order in which they began. */
  async function payments({ since, after, limit }: Slice): Promise<Place[]> {
    return await database.query<Place>(
      `select started_at as at, reference as id from payments
       where started_at >= $1::bigint - ${changesMs} and (started_at, reference) > ($2, $3)
         and greatest(started_at, captured_at, declined_at, refunded_at, refund_asked_at) >= $1
       order by started_at, reference limit $4`,
      [since, after?.at ?? -1, after?.id ?? '', limit],
    );
  }

  /** Orders reserved or changed since an instant, in the order in which they were reserved. */
  async function orders({ since, after, limit }: Slice<OrderId>): Promise<Place<OrderId>[]> {
    return await database.query<Place<OrderId>>(
      `select reserved_at as at, id from orders
       where reserved_at >= $1::bigint - ${changesMs} and (reserved_at, id) > ($2, $3)
         and greatest(reserved_at, paid_at, released_at, refunded_at) >= $1
       order by reserved_at, id limit $4`,
      [since, after?.at ?? -1, after?.id ?? '', limit],
    );
  }

  /** Captures in the wallet's own book since an instant, in the order in which they were made. */
  async function walletCharges({ since, after, limit }: Slice): Promise<Place[]> {
    return await database.query<Place>(
      `select created_at as at, reference as id from wallet_charges
       where created_at >= $1 and (created_at, reference) > ($2, $3)
         and state in ('captured', 'refunded')
       order by created_at, reference limit $4`,
      [since, after?.at ?? -1, after?.id ?? '', limit],
    );
  }

  /** The states of orders, by their ids. */
  async function states(
    ids: readonly OrderId[],
  ): Promise<Map<OrderId, { state: OrderState; amount: number }>> {
    if (ids.length === 0) return new Map();
    const rows = await database.query<{ id: OrderId; state: OrderState; amount: number }>(
      'select id, state, amount from orders where id = any($1::text[])',
      [ids],
    );
    return new Map(rows.map((row) => [row.id, row]));
  }

  async function orderCount(drop: DropId): Promise<number> {
    const [row] = await database.query<{ count: number }>(
      'select count(*) as count from orders where drop_id = $1',
      [drop],
    );
    return row?.count ?? 0;
  }

  /** Refunds of these payments, each payment's in their order. */
  async function refundsOf(payments: readonly string[]): Promise<WatchedRefund[]> {
    if (payments.length === 0) return [];
    return await database.query<WatchedRefund>(
      `select ${refundColumns} from refunds where payment = any($1::text[])
       order by payment, number`,
      [payments],
    );
  }

  async function refunds(names: readonly string[]): Promise<WatchedRefund[]> {
    if (names.length === 0) return [];
    return await database.query<WatchedRefund>(
      `select ${refundColumns} from refunds where reference = any($1::text[])`,
      [names],
    );
  }

  return { unfinished, payments, orders, walletCharges, states, orderCount, refundsOf, refunds };
}

const unfinishedSql = `
  select id from (
    select reference as id from payments where state in ('started', 'unknown')
    union select reference from payments where look_at is not null
    union select reference from payments
      where refund_asked_at is not null and refund_finished_at is null
    union select payment from refunds where state in ('asked', 'pending')
    union select payment from refunds where state = 'failed' and dealt_with_at is null
      and given_up_at is null
    union select payment from refunds where greatest(asked_at, done_at) >= $1
    union select payment from notifications where received_at >= $1) u
  where id > $3
  order by id limit $2`;
