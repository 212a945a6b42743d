import type { Clock } from '../../domain/clock.ts';
import type { PayableId, PaymentReference } from '../../domain/ids.ts';
import type { Database } from '../database/database.ts';
import { type Refund, type RefundState, sumSql } from './refunds.ts';
import { type Payment, paymentColumns } from './row.ts';

/** What a provider answered about a refund, to be recorded. */
export type RefundResult = {
  reference: string;
  state: Exclude<RefundState, 'asked'>;
  note?: string | undefined;
  providerReference?: string | undefined;
  /** The provider may still change it: it is asked about it again later. */
  mayChange?: boolean;
};

/** A refund that changed although it had been done, had failed or was paid in another way. */
export type ChangedRefund = Pick<
  Refund,
  'reference' | 'payment' | 'amount' | 'note' | 'dealtWithAt'
> & {
  orderId: PayableId;
  from: RefundState;
  to: RefundState;
};

/**
 * What became of refunds at their providers. No result is final: a refund that was done may be sent back by
 * a bank, and one that failed may be made by hand.
 */
export function openRefundResults(database: Database, clock: Clock) {
  /**
   * Records results of refunds, and adds up in their payments what has been refunded by now.
   * @param options.checked the results are the refunds' present states at their provider: they change
   *   those that were done or had failed, too
   * @returns those that were done, had failed or were paid in another way, and changed
   */
  async function recordRefunds(
    results: readonly RefundResult[],
    { checked = false }: { checked?: boolean } = {},
  ): Promise<ChangedRefund[]> {
    if (results.length === 0) return [];
    const params = [JSON.stringify(results), clock.now(), checked];
    return await database.transaction(async (query) => {
      // Locked before anything is read, so that concurrent results of one payment are added up in turn.
      await query(lockSql, [results.map((result) => result.reference)]);
      const changed = await query<ChangedRefund>(recordSql, params);
      const payments = [...new Set(changed.map(({ payment }) => payment))].sort();
      if (payments.length > 0) await query(sumSql, [payments, clock.now()]);
      return changed.filter(({ from, dealtWithAt }) => {
        return from === 'done' || from === 'failed' || dealtWithAt !== null;
      });
    });
  }

  /**
   * Records a refund that the provider made without our asking, such as one from its dashboard or the
   * reversal of a capture. Units of an order that is refunded in full by it do not go back on sale.
   * @param outside.amount minor units; the part that no recorded refund covers
   */
  async function recordOutsideRefund(outside: {
    payment: PaymentReference;
    amount: number;
    reason: string;
  }): Promise<void> {
    const { payment, amount, reason } = outside;
    await database.transaction(async (query) => {
      const now = clock.now();
      await query('select reference from payments where reference = $1 for update', [payment]);
      const made = await query(outsideSql, [payment, amount, reason, now]);
      if (made.length > 0) await query(sumSql, [[payment], now]);
    });
  }

  /**
   * Takes payments with refunds that were done or failed and are due to be checked, and sets the next
   * check of each.
   */
  async function takeDueRefundChecks({ limit }: { limit: number }): Promise<Payment[]> {
    const taken = await database.query<{ payment: PaymentReference }>(takeChecksSql, [
      clock.now(),
      limit,
    ]);
    return await ofReferences([...new Set(taken.map(({ payment }) => payment))]);
  }

  /** Sets the next check of refunds that the provider was asked about just now. */
  async function refundsChecked(references: readonly string[]): Promise<void> {
    if (references.length === 0) return;
    await database.query(checkedSql, [references, clock.now()]);
  }

  async function ofReferences(references: readonly PaymentReference[]): Promise<Payment[]> {
    if (references.length === 0) return [];
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p where p.reference = any($1::text[])
       order by p.reference`,
      [references],
    );
  }

  /** Marks full refunds as finished: the money is back with the buyer, the units are back on sale. */
  async function finishRefunds(references: readonly PaymentReference[]): Promise<void> {
    if (references.length === 0) return;
    await database.query(
      `update payments set refund_finished_at = $2
       where reference = any($1::text[]) and refund_finished_at is null`,
      [references, clock.now()],
    );
  }

  /**
   * Payments that are refunded in full and not marked as finished: their units may not be back on sale.
   * @param options.before ms: refunds decided before this instant
   * @param options.after the last one of the batch before
   */
  async function unfinishedRefunds(options: {
    before: number;
    after?: Pick<Payment, 'refundAskedAt' | 'reference'> | undefined;
    limit: number;
  }): Promise<Payment[]> {
    const { before, after, limit } = options;
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p
       where p.refund_asked_at < $1 and p.refund_asked_at is not null
         and p.refund_finished_at is null and p.amount_refunded >= p.amount_captured
         and (p.refund_asked_at, p.reference) > ($3, $4)
       order by p.refund_asked_at, p.reference limit $2`,
      [before, limit, after?.refundAskedAt ?? -1, after?.reference ?? ''],
    );
  }

  /**
   * Takes payments with refunds that the provider is due to be asked about (again), and sets the next
   * time for each, at growing intervals: a provider may take hours. Refunds that a provider refused for
   * good are not among them.
   * @param options.before ms: refunds decided before this instant
   */
  async function takeDueRefunds(options: { before: number; limit: number }): Promise<Payment[]> {
    const params = [options.before, options.limit, clock.now()];
    const taken = await database.query<{ payment: PaymentReference }>(takeSql, params);
    return await ofReferences([...new Set(taken.map(({ payment }) => payment))]);
  }

  return {
    recordRefunds,
    recordOutsideRefund,
    takeDueRefundChecks,
    refundsChecked,
    finishRefunds,
    unfinishedRefunds,
    takeDueRefunds,
  };
}

const tryFirstMs = 2_000;
/** For refunds that got no answer, and for those that the provider has accepted and not done yet. */
const tryMostMs = { asked: 60_000, pending: 600_000 };

const takeSql = `
  update refunds set tries = tries + 1,
    try_at = $3 + least(case state when 'pending' then ${tryMostMs.pending} else ${tryMostMs.asked} end,
      ${tryFirstMs} * 2::float8 ^ least(tries, 20))::bigint
  where reference in (select reference from refunds
      where state in ('asked', 'pending') and dealt_with_at is null and asked_at < $1 and try_at <= $3
      order by try_at, asked_at, reference limit $2 for update skip locked)
  returning payment`;

const lockSql = `
  select reference from payments
  where reference in (select payment from refunds where reference = any($1::text[]))
  order by reference for update`;

/** A final refund is checked this long after it was asked for: banks send money back weeks later. */
const checkDays = [1, 3, 7, 14, 30];
const dayMs = 24 * 3_600_000;
/** A check without an answer is repeated after this time, until the last check is over. */
const checkAgainMs = 5 * 60_000;
const nextCheck = (table: string, now: string) => `
  (select min(${table}.asked_at + day * ${dayMs}::bigint)
   from unnest(array[${checkDays.join()}]::bigint[]) as day
   where ${table}.asked_at + day * ${dayMs}::bigint > ${now}::bigint)`;

// A late 'pending' never takes back that a refund is done; that it failed, it does: somebody has repaired
// it at the provider. A note that the buyer was paid in another way stays through all of it.
const recordSql = `
  update refunds r set state = f.state, note = case when r.dealt_with_at is not null then r.note
      when f.state = 'done' then '' else coalesce(f.note, r.note) end,
    provider_reference = coalesce(f."providerReference", r.provider_reference),
    done_at = case when f.state = 'done' then $2::bigint end,
    check_at = case when f.state = 'pending' and r.dealt_with_at is null or not coalesce(f."mayChange", false) then null
      when before.try_at < 0 then 0 else ${nextCheck('r', '$2')} end
  from json_to_recordset($1::json) as f(reference text, state text, note text,
    "providerReference" text, "mayChange" boolean)
  join refunds before on before.reference = f.reference collate "C"
  join payments p on p.reference = before.payment
  where r.reference = before.reference and f.state <> r.state
    and (r.state in ('asked', 'pending')
      or $3 and (r.state = 'failed' or r.state = 'done' and f.state = 'failed'))
  returning r.reference, r.payment, r.amount, r.note, r.dealt_with_at as "dealtWithAt",
    p.order_id as "orderId",
    before.state as "from", r.state as "to"`;

const takeChecksSql = `
  update refunds set check_at =
    case when asked_at + ${checkDays.at(-1)} * ${dayMs}::bigint > $1 then $1 + ${checkAgainMs} end
  where reference in (select reference from refunds where check_at <= $1
      order by check_at, reference limit $2 for update skip locked)
  returning payment`;

// A check that a notification has made due while the provider was asked stays due.
const checkedSql = `
  update refunds r set check_at = ${nextCheck('r', '$2')}
  where r.reference = any($1::text[]) and (r.state in ('done', 'failed') or r.dealt_with_at is not null)
    and r.check_at is distinct from 0`;

const outsideSql = `
  insert into refunds (reference, payment, number, amount, reason, outside, state, asked_at, done_at)
  select $1::text || 'r' || n, $1, n, $2, $3, true, 'done', $4, $4
  from (select coalesce(max(number), 0) + 1 as n,
    coalesce(sum(amount) filter (where state <> 'failed' or dealt_with_at is not null), 0)::bigint as known
    from refunds where payment = $1) r, payments p
  where p.reference = $1 and known + $2 <= p.amount_captured
  returning reference`;
