import type { Clock } from '../../domain/clock.ts';
import type { PaymentReference } from '../../domain/ids.ts';
import { required } from '../../domain/required.ts';
import type { Database, Query } from '../database/database.ts';

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
  /**
   * When an operator noted that the buyer was paid in another way after it had failed. From then on it
   * counts as paid, whatever its state at the provider becomes.
   */
  dealtWithAt: number | null;
};

export type PartialRefund =
  /** Decided now, or before under the same key. */
  | { kind: 'asked' | 'already'; refund: Refund }
  /** It is more than `refundable`, in minor units. */
  | { kind: 'exceeds'; refundable: number }
  /** The key belongs to a refund of another amount. */
  | { kind: 'reused' };

const columns = `reference, payment, number, amount, reason, key, state, note, asked_at as "askedAt",
  done_at as "doneAt", dealt_with_at as "dealtWithAt"`;

/**
 * Refunds, written when they are decided and before a provider is asked. The refunds of a payment are
 * decided under the lock of its row, so together they never exceed what was captured.
 */
export function openRefunds(database: Database, clock: Clock) {
  /**
   * Decides to refund the rest of captured payments. From now on the refund happens, whichever process
   * carries it out, and no order is confirmed with this money. Repeating it changes nothing.
   * @param options.again also decides a new refund where the provider refused one for good, or took it
   *   back
   * @param options.restock whether the units go back on sale; what was decided first stays
   */
  async function askRefund(
    references: readonly PaymentReference[],
    options: { again?: boolean; reason?: string; restock?: boolean } = {},
  ): Promise<void> {
    const { again = false, reason = '', restock = true } = options;
    if (references.length === 0) return;
    await database.transaction(async (query) => {
      const asked = await query<{ reference: PaymentReference }>(askAllSql, [
        references,
        clock.now(),
        restock,
      ]);
      const fresh = again ? references : asked.map((payment) => payment.reference);
      if (fresh.length > 0) await query(askRestSql, [fresh, clock.now(), reason]);
      // Notes that were made before they counted as paid end their order now: it is asked for.
      if (again) await query(sumSql, [references, clock.now()]);
    });
  }

  /**
   * Decides to refund a part of a captured payment, once per key. A full refund that the provider refused
   * blocks no part.
   * @param wanted.amount minor units
   * @param wanted.restock with the last part: whether the units go back on sale
   * @param wanted.isPaid the order is still paid, so that after a part it keeps the rest of its money
   */
  async function askPartialRefund(wanted: {
    payment: PaymentReference;
    amount: number;
    key: string;
    reason: string;
    restock?: boolean;
    isPaid?: boolean;
  }): Promise<PartialRefund> {
    const { payment, amount, key, restock = true, isPaid = true } = wanted;
    return await database.transaction(async (query): Promise<PartialRefund> => {
      const [locked] = await query<{ captured: number; all: boolean }>(
        `select amount_captured as captured, refund_asked_at is not null as all
         from payments where reference = $1 for update`,
        [payment],
      );
      const before = await ofPayments([payment], query);
      const earlier = before.find((refund) => refund.key === key);
      if (earlier) return repeated(earlier, amount);
      const refundable = locked ? locked.captured - amountOf(before) : 0;
      if (amount > refundable) return { kind: 'exceeds', refundable };
      const refund = await insert(query, { ...wanted, number: (before.at(-1)?.number ?? 0) + 1 });
      if (amount === refundable) await query(askAllSql, [[payment], clock.now(), restock]);
      else if (locked?.all && isPaid) await query(askPartSql, [payment]);
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

  return {
    askRefund,
    askPartialRefund,
    refundsOf: (references: readonly PaymentReference[]) => ofPayments(references),
  };
}

/** The answer to a request under a key that has a refund already. */
export function repeated(earlier: Refund, amount: number): PartialRefund {
  return earlier.amount === amount ? { kind: 'already', refund: earlier } : { kind: 'reused' };
}

/** The sum of the refunds that are made or under way, in minor units. */
export function amountOf(refunds: readonly Refund[]): number {
  return refunds.reduce((sum, refund) => sum + (isUnpaid(refund) ? 0 : refund.amount), 0);
}

/** Whether a refund failed and its buyer was not paid in another way either. */
export function isUnpaid({ state, dealtWithAt }: Pick<Refund, 'state' | 'dealtWithAt'>): boolean {
  return state === 'failed' && dealtWithAt === null;
}

/** Whether the buyer has the money of a refund, from the provider or in another way. */
export function isWithBuyer(refund: Pick<Refund, 'state' | 'dealtWithAt'>): boolean {
  return refund.state === 'done' || refund.dealtWithAt !== null;
}

/** Whether a provider is still to make a refund. One that was paid in another way is never asked for. */
export function isUnderWay({ state, dealtWithAt }: Pick<Refund, 'state' | 'dealtWithAt'>): boolean {
  return (state === 'asked' || state === 'pending') && dealtWithAt === null;
}

/** Adds up what the refunds of payments have given back: see sql/0023_refunds_paid_otherwise.sql. */
export const sumSql = 'select add_up_refunds($1, $2)';

const askAllSql = `
  update payments set refund_asked_at = $2, restock = $3
  where reference in (select reference from payments where reference = any($1::text[])
      order by reference for update)
    and refund_asked_at is null and state in ('captured', 'refunded')
  returning reference`;

/** The full refund was refused for good, and now a part is asked for: the order keeps the rest. */
const askPartSql = `
  update payments set refund_asked_at = null, refund_finished_at = null, restock = true
  where reference = $1`;

const askRestSql = `
  insert into refunds (reference, payment, number, amount, reason, state, asked_at)
  select p.reference || 'r' || n, p.reference, n, rest, $3, 'asked', $2
  from payments p, lateral (
    select coalesce(max(number), 0) + 1 as n,
      p.amount_captured - coalesce(sum(amount) filter (
        where state <> 'failed' or dealt_with_at is not null), 0)::bigint as rest
    from refunds where payment = p.reference) r
  where p.reference = any($1::text[]) and rest > 0`;
