import type { Clock } from '../../domain/clock.ts';
import type { OrderId, PayableId, PaymentReference } from '../../domain/ids.ts';
import { found } from '../../domain/required.ts';
import type { Database, Query } from '../database/database.ts';
import type { PaymentResult } from './results.ts';
import {
  type Payment,
  type PaymentOf,
  type PaymentStart,
  paymentColumns,
  paymentReference,
} from './row.ts';

/** A payment of a released order, and when that was released, ms. */
export type StrayPayment = PaymentOf<OrderId> & { releasedAt: number };
export type StrayPlace = Pick<StrayPayment, 'releasedAt' | 'orderId' | 'attempt'>;

/** Attempts to pay, a row each, written before the provider is asked to do anything. */
export function openAttempts(database: Database, clock: Clock) {
  /**
   * Begins an attempt for each start, in the order given: a new one (`fresh`), or the order's latest
   * one when it has an open attempt already, whichever process began that. An order never has two
   * open attempts.
   */
  async function begin(starts: readonly PaymentStart[]): Promise<(Payment & { fresh: boolean })[]> {
    if (starts.length === 0) return [];
    const now = clock.now();
    const wanted = starts.map((start) => newPayment(start, now));
    const made = await database.query<{ reference: PaymentReference }>(beginSql, [
      JSON.stringify(wanted),
    ]);
    const fresh = new Set(made.map((row) => row.reference));
    const others = wanted.filter(({ reference }) => !fresh.has(reference));
    const existing = await ofOrders(others.map((other) => other.orderId));
    // Each order's attempts come first to last, so the latest one stays in the map.
    const latest = new Map(existing.map((payment) => [payment.orderId, payment]));
    return wanted.map((payment) => {
      return fresh.has(payment.reference)
        ? { ...payment, fresh: true }
        : { ...found(latest, payment.orderId, 'payment of order'), fresh: false };
    });
  }

  /** New payments as `begin` would write them, for insertCharged. Nothing is written. */
  function prepare(starts: readonly PaymentStart[]): Payment[] {
    const now = clock.now();
    return starts.map((start) => newPayment(start, now));
  }

  /**
   * Writes prepared payments together with the results of their charge (`captured` or `declined`, one
   * for each), in the transaction of a provider that keeps its book in the ledger.
   * @returns undefined when one of the payments exists already: then the transaction must be rolled back
   */
  async function insertCharged(
    query: Query,
    prepared: readonly Payment[],
    results: readonly PaymentResult[],
  ): Promise<Payment[] | undefined> {
    const byReference = new Map(results.map((result) => [result.reference, result]));
    const charged = prepared.map((payment) => {
      return withResult(payment, found(byReference, payment.reference, 'result of charge'));
    });
    const made = await query(beginSql, [JSON.stringify(charged)]);
    return made.length === charged.length ? charged : undefined;
  }

  /** The payments of these references; any other text finds nothing. */
  async function find(references: readonly string[]): Promise<Payment[]> {
    if (references.length === 0) return [];
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p where p.reference = any($1::text[]) order by p.reference`,
      [references],
    );
  }

  /** All attempts of these orders, each order's first to last. */
  async function ofOrders<Id extends PayableId>(orderIds: readonly Id[]): Promise<PaymentOf<Id>[]> {
    if (orderIds.length === 0) return [];
    return await database.query<PaymentOf<Id>>(
      `select ${paymentColumns} from payments p where p.order_id = any($1::text[])
       order by p.order_id, p.attempt`,
      [orderIds],
    );
  }

  /**
   * Payments of released orders that are still open, or captured with no refund decided: they have to
   * be closed, accepted as late captures, or refunded. Left out are payments with a poll ahead
   * (polling drives those) and those with a decided refund (`takeDueRefunds` drives those).
   * @param options.after the last one of the batch before
   * @param options.since, options.before ms: orders released from `since` (0 when absent) until
   *   before `before`
   */
  async function unresolvedAfterRelease(options: {
    since?: number;
    before: number;
    after?: StrayPlace | undefined;
    limit: number;
  }): Promise<StrayPayment[]> {
    const { since = 0, before, after, limit } = options;
    return await database.query<StrayPayment>(
      `select ${paymentColumns}, o.released_at as "releasedAt" from orders o join payments p on p.order_id = o.id
       where o.state = 'released' and o.released_at >= $1 and o.released_at < $2
         and p.look_at is null
         and (p.state in ('started', 'unknown')
           or p.state = 'captured' and p.refund_asked_at is null)
         and (o.released_at, o.id, p.attempt) > ($4, $5, $6)
       order by o.released_at, o.id, p.attempt limit $3`,
      [since, before, limit, after?.releasedAt ?? -1, after?.orderId ?? '', after?.attempt ?? 0],
    );
  }

  return { begin, prepare, insertCharged, find, ofOrders, unresolvedAfterRelease };
}

/** A payment as `begin` writes it: built here, since reading it back would cost as much as writing it. */
function newPayment(start: PaymentStart, startedAt: number): Payment {
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
    restock: true,
    payableUntil: start.payableUntil ?? null,
    nextPollAt: start.nextPollAt ?? null,
  };
}

/** A new payment with the result of its charge. */
function withResult(payment: Payment, result: PaymentResult): Payment {
  const at = payment.startedAt;
  if (result.state === 'captured') {
    const { amount = payment.amount } = result;
    return { ...payment, state: 'captured', amountCaptured: amount, capturedAt: at };
  }
  if (result.state === 'declined') {
    return { ...payment, state: 'declined', reason: result.reason ?? '', declinedAt: at };
  }
  throw new Error(`bug: a charge in the ledger gave ${result.state}`);
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
