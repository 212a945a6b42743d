import { type Clock, systemClock } from '../../domain/clock.ts';
import type { Database, Query } from '../database/database.ts';
import { openPolling } from './polling.ts';
import { openRefunds } from './refunds.ts';
import { openPaymentFacts, type PaymentFact } from './results.ts';
import { type Payment, type PaymentStart, paymentColumns, paymentReference } from './row.ts';

export type Payments = ReturnType<typeof openPayments>;

/** Attempts to be paid, one row each, recorded before the provider is asked. */
export function openPayments(database: Database, clock: Clock = systemClock) {
  /**
   * An attempt of each order, in the order asked: made now (`fresh`), or the latest one as it already
   * stands, whoever began it. An order has one open attempt at most.
   */
  async function begin(starts: readonly PaymentStart[]): Promise<(Payment & { fresh: boolean })[]> {
    if (starts.length === 0) return [];
    const now = clock.now();
    const wanted = starts.map((start) => started(start, now));
    const made = await database.query<{ reference: string }>(beginSql, [JSON.stringify(wanted)]);
    const fresh = new Set(made.map((row) => row.reference));
    const others = wanted.filter(({ reference }) => !fresh.has(reference));
    const latest = new Map<string, Payment>();
    for (const one of await ofOrders(others.map((other) => other.orderId))) {
      latest.set(one.orderId, one);
    }
    return wanted.map((payment) => {
      if (fresh.has(payment.reference)) return { ...payment, fresh: true };
      const other = latest.get(payment.orderId);
      if (!other) throw new Error(`bug: ${payment.reference} was neither made nor found`);
      return { ...other, fresh: false };
    });
  }

  /**
   * Begins payments and records what `charge` makes of them, in one transaction: for a provider that
   * keeps its book in the ledger, so that no crash can come between the two. Undefined, with nothing
   * written, when one of them was begun before or `charge` comes to undefined.
   */
  async function beginCharged(
    starts: readonly PaymentStart[],
    charge: (query: Query, payments: readonly Payment[]) => Promise<PaymentFact[] | undefined>,
  ): Promise<Payment[] | undefined> {
    const now = clock.now();
    return await orNothing(database, async (query) => {
      const begun = starts.map((start) => started(start, now));
      const facts = await charge(query, begun);
      if (!facts) return undefined;
      const byReference = new Map(facts.map((fact) => [fact.reference, fact]));
      const charged = begun.map((one) => ended(one, byReference.get(one.reference), now));
      const made = await query(beginSql, [JSON.stringify(charged)]);
      return made.length === charged.length ? charged : undefined;
    });
  }

  async function find(references: readonly string[]): Promise<Payment[]> {
    if (references.length === 0) return [];
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p where p.reference = any($1::text[]) order by p.reference`,
      [references],
    );
  }

  /** Every attempt of these orders, each order's first to last. */
  async function ofOrders(orderIds: readonly string[]): Promise<Payment[]> {
    if (orderIds.length === 0) return [];
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p where p.order_id = any($1::text[])
       order by p.order_id, p.attempt`,
      [orderIds],
    );
  }

  /**
   * Payments at odds with an order that was released without them: open or captured. Each has to
   * be closed, taken late, or refunded; the sweeper drives them again. Those with a look ahead are
   * driven on by that, and refunds that are decided by takeRefunds. Of orders released from `since` on
   * (from the first when absent) and before `before`.
   */
  async function stray(options: {
    since?: number;
    before: number;
    limit: number;
  }): Promise<Payment[]> {
    return await database.query<Payment>(
      `select ${paymentColumns} from orders o join payments p on p.order_id = o.id
       where o.state = 'released' and o.released_at >= $1 and o.released_at < $2
         and p.look_at is null
         and (p.state in ('started', 'unknown')
           or p.state = 'captured' and p.refund_asked_at is null)
       order by o.released_at, o.id, p.attempt limit $3`,
      [options.since ?? 0, options.before, options.limit],
    );
  }

  return {
    begin,
    beginCharged,
    find,
    ofOrders,
    stray,
    ...openPaymentFacts(database, clock),
    ...openPolling(database),
    ...openRefunds(database, clock),
  };
}

/** A payment as `begin` writes it; reading it back would cost as much as writing it. */
function started(start: PaymentStart, startedAt: number): Payment {
  const { orderId, drop, provider, amount, currency, attempt = 1 } = start;
  return {
    orderId,
    drop,
    attempt,
    reference: paymentReference(orderId, attempt, provider),
    provider,
    amount,
    currency,
    startedAt,
    state: 'started',
    reason: '',
    amountCaptured: 0,
    amountRefunded: 0,
    providerReference: null,
    action: null,
    capturedAt: null,
    declinedAt: null,
    refundedAt: null,
    refundAskedAt: null,
    payableUntil: start.payableUntil ?? null,
    nextPollAt: start.nextPollAt ?? null,
  };
}

/** A transaction that is rolled back when its work comes to undefined. */
async function orNothing<T>(
  database: Database,
  work: (query: Query) => Promise<T | undefined>,
): Promise<T | undefined> {
  const nothing = Symbol('nothing');
  try {
    return await database.transaction(async (query) => {
      const result = await work(query);
      if (result === undefined) throw nothing;
      return result;
    });
  } catch (error) {
    if (error === nothing) return undefined;
    throw error;
  }
}

/** A payment that was just begun, with the first that is known of it. */
function ended(payment: Payment, fact: PaymentFact | undefined, at: number): Payment {
  if (fact?.state === 'captured') {
    const { amount = payment.amount } = fact;
    return { ...payment, state: 'captured', amountCaptured: amount, capturedAt: at };
  }
  if (fact?.state === 'declined') {
    return { ...payment, state: 'declined', reason: fact.reason ?? '', declinedAt: at };
  }
  throw new Error(`bug: a charge within the ledger came to ${fact?.state ?? 'nothing'}`);
}

const beginSql = `
  insert into payments (order_id, drop_id, attempt, reference, provider, amount, currency, state,
    reason, amount_captured, started_at, captured_at, declined_at, payable_until, look_at)
  select "orderId", "drop", attempt, reference, provider, amount, currency, state, reason,
    "amountCaptured", "startedAt", "capturedAt", "declinedAt", "payableUntil", "nextPollAt"
  from json_to_recordset($1::json) as r("orderId" text, "drop" text, attempt integer,
    reference text, provider text, amount bigint, currency text, state text, reason text,
    "amountCaptured" bigint, "startedAt" bigint, "capturedAt" bigint, "declinedAt" bigint,
    "payableUntil" bigint, "nextPollAt" bigint)
  order by reference collate "C"
  on conflict do nothing
  returning reference`;
