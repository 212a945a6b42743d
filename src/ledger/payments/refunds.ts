import type { Clock } from '../../domain/clock.ts';
import type { Database, Query } from '../database/database.ts';
import { type Payment, paymentColumns } from './row.ts';

export type RefundState = 'asked' | 'pending' | 'done' | 'failed';

/** Money on its way back to a buyer, or arrived there. */
export type Refund = {
  /** What the provider knows it by: the payment's reference, `r` and a number. */
  reference: string;
  /** The payment's reference. */
  payment: string;
  number: number;
  amount: number;
  reason: string;
  state: RefundState;
  note: string;
  askedAt: number;
  doneAt: number | null;
};

/** What became of a refund. */
export type RefundFact = {
  reference: string;
  state: Exclude<RefundState, 'asked'>;
  note?: string | undefined;
  providerReference?: string | undefined;
};

export type PartAsked =
  | { kind: 'asked' | 'already'; refund: Refund }
  /** More than `refundable` would be given back. */
  | { kind: 'exceeds'; refundable: number }
  /** The key stands for another refund. */
  | { kind: 'reused' };

const columns = `reference, payment, number, amount, reason, state, note, asked_at as "askedAt",
  done_at as "doneAt"`;

/**
 * What was decided about giving money back, written before anybody acts on it. Refunds of a payment
 * are asked for under its row's lock, so together they never come to more than was captured.
 */
export function openRefunds(database: Database, clock: Clock) {
  /**
   * Decides that captured payments are given back whole: what of them is not on its way back yet. From
   * here on it will happen, whoever carries it out, and no confirm may count on the money. Asking
   * again changes nothing; with `again`, what a provider refused for good is asked for once more.
   */
  async function askRefund(
    references: readonly string[],
    { again = false, reason = '' }: { again?: boolean; reason?: string } = {},
  ): Promise<void> {
    if (references.length === 0) return;
    await database.transaction(async (query) => {
      const asked = await query<{ reference: string }>(askAllSql, [references, clock.now()]);
      const fresh = again ? references : asked.map((payment) => payment.reference);
      if (fresh.length > 0) await query(askRestSql, [fresh, clock.now(), reason]);
    });
  }

  /** Asks for a part of a captured payment, once per key. */
  async function askPart(wanted: {
    payment: string;
    amount: number;
    key: string;
    reason: string;
  }): Promise<PartAsked> {
    const { payment, amount, key, reason } = wanted;
    return await database.transaction(async (query): Promise<PartAsked> => {
      const [locked] = await query<{ captured: number; all: boolean }>(
        `select amount_captured as captured, refund_asked_at is not null as all
         from payments where reference = $1 for update`,
        [payment],
      );
      const before = await ofPayments([payment], query);
      const [same] = await query<{ reference: string }>(
        'select reference from refunds where payment = $1 and key = $2',
        [payment, key],
      );
      const earlier = before.find((refund) => refund.reference === same?.reference);
      if (earlier) {
        return earlier.amount === amount
          ? { kind: 'already', refund: earlier }
          : { kind: 'reused' };
      }
      const given = before.reduce((sum, one) => sum + (one.state === 'failed' ? 0 : one.amount), 0);
      const refundable = locked && !locked.all ? locked.captured - given : 0;
      if (amount > refundable) return { kind: 'exceeds', refundable };
      const number = (before.at(-1)?.number ?? 0) + 1;
      const [refund] = await query<Refund>(
        `insert into refunds (reference, payment, number, amount, reason, key, state, asked_at)
         values ($1, $2, $3, $4, $5, $6, 'asked', $7) returning ${columns}`,
        [`${payment}r${number}`, payment, number, amount, reason, key, clock.now()],
      );
      if (amount === refundable) await query(askAllSql, [[payment], clock.now()]);
      return { kind: 'asked', refund: refund as Refund };
    });
  }

  /** Which of these payments a part was asked of under a key. */
  async function partAskedOf(
    references: readonly string[],
    key: string,
  ): Promise<string | undefined> {
    const [row] = await database.query<{ payment: string }>(
      'select payment from refunds where payment = any($1::text[]) and key = $2',
      [references, key],
    );
    return row?.payment;
  }

  /** Refunds of these payments, each payment's in their order. */
  async function ofPayments(
    references: readonly string[],
    query: Query = database.query,
  ): Promise<Refund[]> {
    if (references.length === 0) return [];
    return await query<Refund>(
      `select ${columns} from refunds where payment = any($1::text[]) order by payment, number`,
      [references],
    );
  }

  /** Adds facts to refunds, and to their payments what of them has come back by now. */
  async function recordRefunds(facts: readonly RefundFact[]): Promise<void> {
    if (facts.length === 0) return;
    const params = [JSON.stringify(facts), clock.now()];
    await database.transaction(async (query) => {
      // Before anything is read: parts of one payment that arrive together are added up in turn.
      await query(lockSql, [facts.map((fact) => fact.reference)]);
      const moved = await query<{ payment: string }>(recordSql, params);
      const payments = [...new Set(moved.map(({ payment }) => payment))].sort();
      if (payments.length > 0) await query(sumSql, [payments, clock.now()]);
    });
  }

  /** Notes that the money and the units of refunds are back where they came from. */
  async function finishRefund(references: readonly string[]): Promise<void> {
    if (references.length === 0) return;
    await database.query(
      `update payments set refund_finished_at = $2
       where reference = any($1::text[]) and refund_finished_at is null`,
      [references, clock.now()],
    );
  }

  /**
   * Payments whose money is back and whose units may not be: given back whole, decided before an
   * instant, and not finished.
   */
  async function refundsReturned(options: { before: number; limit: number }): Promise<Payment[]> {
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p
       where p.refund_asked_at < $1 and p.refund_asked_at is not null
         and p.refund_finished_at is null and p.amount_refunded >= p.amount_captured
       order by p.refund_asked_at, p.reference limit $2`,
      [options.before, options.limit],
    );
  }

  /**
   * Takes payments with refunds that were asked for before an instant and have not come back, each
   * more and more seldom: a provider may take hours. One that it refused for good is not among them.
   */
  async function takeRefunds(options: { before: number; limit: number }): Promise<Payment[]> {
    const params = [options.before, options.limit, clock.now()];
    const taken = await database.query<{ payment: string }>(takeSql, params);
    if (taken.length === 0) return [];
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p where p.reference = any($1::text[])
       order by p.reference`,
      [[...new Set(taken.map(({ payment }) => payment))]],
    );
  }

  return {
    askRefund,
    askPart,
    partAskedOf,
    recordRefunds,
    finishRefund,
    refundsReturned,
    takeRefunds,
    refundsOf: (references: readonly string[]) => ofPayments(references),
  };
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
/** Of one that got no answer, and of one that its provider has promised. */
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
