import type { Clock } from '../../domain/clock.ts';
import type { PaymentReference } from '../../domain/ids.ts';
import { required } from '../../domain/required.ts';
import type { Database, Query } from '../database/database.ts';
import { type Payment, paymentColumns } from './row.ts';

export type RefundState = 'asked' | 'pending' | 'done' | 'failed';

/** A refund of a payment or of a part of it. */
export type Refund = {
  /** Our id of it at the provider: the payment's reference, `r` and the number. */
  reference: string;
  /** The payment's reference. */
  payment: PaymentReference;
  number: number;
  /** Minor units. */
  amount: number;
  reason: string;
  /** The merchant's Idempotency-Key as a digest; null for a refund of the rest. */
  key: string | null;
  state: RefundState;
  /** Why the provider refused it, for people. */
  note: string;
  /** Ms since the epoch. */
  askedAt: number;
  doneAt: number | null;
};

/** What a provider answered about a refund, to be recorded. */
export type RefundResult = {
  reference: string;
  state: Exclude<RefundState, 'asked'>;
  note?: string | undefined;
  providerReference?: string | undefined;
};

export type PartialRefund =
  /** Decided now, or before under the same key. */
  | { kind: 'asked' | 'already'; refund: Refund }
  /** It is more than `refundable`, in minor units. */
  | { kind: 'exceeds'; refundable: number }
  /** The key belongs to a refund of another amount. */
  | { kind: 'reused' };

const columns = `reference, payment, number, amount, reason, key, state, note, asked_at as "askedAt",
  done_at as "doneAt"`;

/**
 * Refunds, written when they are decided and before a provider is asked. The refunds of a payment are
 * decided under the lock of its row, so together they never exceed what was captured.
 */
export function openRefunds(database: Database, clock: Clock) {
  /**
   * Decides to refund the rest of captured payments. From now on the refund happens, whichever process
   * carries it out, and no order is confirmed with this money. Repeating it changes nothing.
   * @param options.again also decides a new refund where the provider refused one for good
   */
  async function askRefund(
    references: readonly PaymentReference[],
    { again = false, reason = '' }: { again?: boolean; reason?: string } = {},
  ): Promise<void> {
    if (references.length === 0) return;
    await database.transaction(async (query) => {
      const asked = await query<{ reference: PaymentReference }>(askAllSql, [
        references,
        clock.now(),
      ]);
      const fresh = again ? references : asked.map((payment) => payment.reference);
      if (fresh.length > 0) await query(askRestSql, [fresh, clock.now(), reason]);
    });
  }

  /**
   * Decides to refund a part of a captured payment, once per key.
   * @param wanted.amount minor units
   */
  async function askPartialRefund(wanted: {
    payment: PaymentReference;
    amount: number;
    key: string;
    reason: string;
  }): Promise<PartialRefund> {
    const { payment, amount, key } = wanted;
    return await database.transaction(async (query): Promise<PartialRefund> => {
      const [locked] = await query<{ captured: number; all: boolean }>(
        `select amount_captured as captured, refund_asked_at is not null as all
         from payments where reference = $1 for update`,
        [payment],
      );
      const before = await ofPayments([payment], query);
      const earlier = before.find((refund) => refund.key === key);
      if (earlier) {
        const isSame = earlier.amount === amount;
        return isSame ? { kind: 'already', refund: earlier } : { kind: 'reused' };
      }
      const refundable = locked && !locked.all ? locked.captured - amountOf(before) : 0;
      if (amount > refundable) return { kind: 'exceeds', refundable };
      const refund = await insert(query, { ...wanted, number: (before.at(-1)?.number ?? 0) + 1 });
      if (amount === refundable) await query(askAllSql, [[payment], clock.now()]);
      return { kind: 'asked', refund };
    });
  }

  async function insert(
    query: Query,
    wanted: {
      payment: PaymentReference;
      number: number;
      amount: number;
      reason: string;
      key: string;
    },
  ): Promise<Refund> {
    const { payment, number, amount, reason, key } = wanted;
    const [refund] = await query<Refund>(
      `insert into refunds (reference, payment, number, amount, reason, key, state, asked_at)
       values ($1, $2, $3, $4, $5, $6, 'asked', $7) returning ${columns}`,
      [`${payment}r${number}`, payment, number, amount, reason, key, clock.now()],
    );
    return required(refund, 'row of the refund that was inserted');
  }

  /** The one of these payments that has a partial refund under a key. */
  async function paymentOfRefundKey(
    references: readonly PaymentReference[],
    key: string,
  ): Promise<PaymentReference | undefined> {
    const [row] = await database.query<{ payment: PaymentReference }>(
      'select payment from refunds where payment = any($1::text[]) and key = $2',
      [references, key],
    );
    return row?.payment;
  }

  /** The refunds of these payments, each payment's in the order of their numbers. */
  async function ofPayments(
    references: readonly PaymentReference[],
    query: Query = database.query,
  ): Promise<Refund[]> {
    if (references.length === 0) return [];
    return await query<Refund>(
      `select ${columns} from refunds where payment = any($1::text[]) order by payment, number`,
      [references],
    );
  }

  /** Records results of refunds, and adds up in their payments what has been refunded by now. */
  async function recordRefunds(results: readonly RefundResult[]): Promise<void> {
    if (results.length === 0) return;
    const params = [JSON.stringify(results), clock.now()];
    await database.transaction(async (query) => {
      // Locked before anything is read, so that concurrent results of one payment are added up in turn.
      await query(lockSql, [results.map((result) => result.reference)]);
      const changed = await query<{ payment: PaymentReference }>(recordSql, params);
      const payments = [...new Set(changed.map(({ payment }) => payment))].sort();
      if (payments.length > 0) await query(sumSql, [payments, clock.now()]);
    });
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
   */
  async function unfinishedRefunds(options: { before: number; limit: number }): Promise<Payment[]> {
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p
       where p.refund_asked_at < $1 and p.refund_asked_at is not null
         and p.refund_finished_at is null and p.amount_refunded >= p.amount_captured
       order by p.refund_asked_at, p.reference limit $2`,
      [options.before, options.limit],
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
    if (taken.length === 0) return [];
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p where p.reference = any($1::text[])
       order by p.reference`,
      [[...new Set(taken.map(({ payment }) => payment))]],
    );
  }

  return {
    askRefund,
    askPartialRefund,
    paymentOfRefundKey,
    recordRefunds,
    finishRefunds,
    unfinishedRefunds,
    takeDueRefunds,
    refundsOf: (references: readonly PaymentReference[]) => ofPayments(references),
  };
}

/** The sum of the refunds that were not refused, in minor units. */
function amountOf(refunds: readonly Refund[]): number {
  return refunds.reduce((sum, { state, amount }) => sum + (state === 'failed' ? 0 : amount), 0);
}

const askAllSql = `
  update payments set refund_asked_at = $2
  where reference in (select reference from payments where reference = any($1::text[])
      order by reference for update)
    and refund_asked_at is null and state in ('captured', 'refunded')
  returning reference`;

const askRestSql = `
  insert into refunds (reference, payment, number, amount, reason, state, asked_at)
  select p.reference || 'r' || n, p.reference, n, rest, $3, 'asked', $2
  from payments p, lateral (
    select coalesce(max(number), 0) + 1 as n,
      p.amount_captured - coalesce(sum(amount) filter (where state <> 'failed'), 0)::bigint as rest
    from refunds where payment = p.reference) r
  where p.reference = any($1::text[]) and rest > 0`;

const tryFirstMs = 2_000;
/** For refunds that got no answer, and for those that the provider has accepted and not done yet. */
const tryMostMs = { asked: 60_000, pending: 600_000 };

const takeSql = `
  update refunds set tries = tries + 1,
    try_at = $3 + least(case state when 'pending' then ${tryMostMs.pending} else ${tryMostMs.asked} end,
      ${tryFirstMs} * 2::float8 ^ least(tries, 20))::bigint
  where reference in (select reference from refunds
      where state in ('asked', 'pending') and asked_at < $1 and try_at <= $3
      order by asked_at, reference limit $2 for update skip locked)
  returning payment`;

const lockSql = `
  select reference from payments
  where reference in (select payment from refunds where reference = any($1::text[]))
  order by reference for update`;

const recordSql = `
  update refunds r set state = f.state, note = coalesce(f.note, r.note),
    provider_reference = coalesce(f."providerReference", r.provider_reference),
    done_at = case when f.state = 'done' then $2::bigint end
  from json_to_recordset($1::json) as f(reference text, state text, note text,
    "providerReference" text)
  where r.reference = f.reference collate "C" and r.state in ('asked', 'pending')
    and f.state <> r.state
  returning r.payment`;

const sumSql = `
  update payments p set amount_refunded = r.sum,
    state = case when r.sum >= p.amount_captured then 'refunded' else p.state end,
    refunded_at = case when r.sum >= p.amount_captured then coalesce(p.refunded_at, $2)
      else p.refunded_at end
  from (select payment, sum(amount)::bigint as sum from refunds
    where payment = any($1::text[]) and state = 'done' group by payment) r
  where p.reference = r.payment`;
