import { type Clock, systemClock } from '../domain/clock.ts';
import type { Database, Query } from './database.ts';
import { openRefundDecisions } from './refund-decisions.ts';

/** Facts about a payment only add up, so a later state is never undone by a late message. */
export const paymentStates = ['started', 'unknown', 'declined', 'captured', 'refunded'] as const;
export type PaymentState = (typeof paymentStates)[number];

export type Payment = {
  orderId: string;
  drop: string;
  attempt: number;
  /** What the provider knows this attempt by: `pay_<order id>_<attempt>`. */
  reference: string;
  provider: string;
  amount: number;
  currency: string;
  state: PaymentState;
  reason: string;
  amountCaptured: number;
  amountRefunded: number;
  startedAt: number;
  capturedAt: number | null;
  declinedAt: number | null;
  refundedAt: number | null;
  /** When the decision to give the money back was written down, before the provider is asked. */
  refundAskedAt: number | null;
};

/** The part of a payment that facts change. */
export type PaymentResult = Pick<
  Payment,
  'reference' | 'state' | 'reason' | 'amountCaptured' | 'amountRefunded' | 'refundAskedAt'
>;

export type PaymentStart = {
  orderId: string;
  drop: string;
  provider: string;
  amount: number;
  currency: string;
  /** 1 when absent. A higher one only after the one before is known not to have been captured. */
  attempt?: number;
};

/** What became of a payment; `amount` is what was captured or refunded, in minor units. */
export type PaymentFact = {
  reference: string;
  state: Exclude<PaymentState, 'started'>;
  reason?: string;
  amount?: number;
};

export type Payments = ReturnType<typeof openPayments>;

export function paymentReference(orderId: string, attempt: number): string {
  return `pay_${orderId}_${attempt}`;
}

/** A payment's row, of the table called p. */
export const paymentColumns = `p.order_id as "orderId", p.drop_id as "drop", p.attempt, p.reference,
  p.provider, p.amount, p.currency, p.state, p.reason, p.amount_captured as "amountCaptured",
  p.amount_refunded as "amountRefunded", p.started_at as "startedAt",
  p.captured_at as "capturedAt", p.declined_at as "declinedAt", p.refunded_at as "refundedAt",
  p.refund_asked_at as "refundAskedAt"`;

/** Attempts to be paid, one row each, recorded before the provider is asked. */
export function openPayments(database: Database, clock: Clock = systemClock) {
  /**
   * The attempt of each order, in the order asked: made now (`fresh`), or as it already stands,
   * whoever began it. An existing attempt keeps its amount and provider.
   */
  async function begin(starts: readonly PaymentStart[]): Promise<(Payment & { fresh: boolean })[]> {
    if (starts.length === 0) return [];
    const now = clock.now();
    const wanted = starts.map((start) => started(start, now));
    const made = await database.query<{ reference: string }>(beginSql, [JSON.stringify(wanted)]);
    const fresh = new Set(made.map((row) => row.reference));
    const byReference = new Map<string, Payment & { fresh: boolean }>();
    for (const payment of wanted) {
      if (fresh.has(payment.reference))
        byReference.set(payment.reference, { ...payment, fresh: true });
    }
    const others = wanted.map((w) => w.reference).filter((ref) => !byReference.has(ref));
    for (const payment of await find(others)) {
      byReference.set(payment.reference, { ...payment, fresh: false });
    }
    return wanted.map(({ reference }) => {
      const payment = byReference.get(reference);
      if (!payment) throw new Error(`bug: ${reference} was neither made nor found`);
      return payment;
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

  /**
   * Adds facts to payments; a payment only moves forward (started, unknown, declined, captured,
   * refunded). Gives what every named payment has now come to; unknown references are left out.
   */
  async function record(facts: readonly PaymentFact[]): Promise<PaymentResult[]> {
    if (facts.length === 0) return [];
    const rows = facts.map((fact) => ({
      reference: fact.reference,
      state: fact.state,
      reason: fact.reason ?? '',
      captured: fact.state === 'captured' ? (fact.amount ?? null) : 0,
      refunded: fact.state === 'refunded' ? (fact.amount ?? null) : 0,
    }));
    const now = clock.now();
    const write = async (query: Query) => {
      const results = new Map<string, PaymentResult>();
      for (const layer of layers(rows)) {
        const ordered = layer.sort((a, b) => (a.reference < b.reference ? -1 : 1));
        const params = [JSON.stringify(ordered), now, paymentStates];
        for (const row of await query<PaymentResult>(recordSql, params)) {
          results.set(row.reference, row);
        }
      }
      return [...results.values()];
    };
    const once = new Set(rows.map((row) => row.reference)).size === rows.length;
    return once ? await write(database.query) : await database.transaction(write);
  }

  async function find(references: readonly string[]): Promise<Payment[]> {
    if (references.length === 0) return [];
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p where p.reference = any($1::text[]) order by p.reference`,
      [references],
    );
  }

  /** Every attempt of an order, first to last. */
  async function ofOrder(orderId: string): Promise<Payment[]> {
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p where p.order_id = $1 order by p.attempt`,
      [orderId],
    );
  }

  /**
   * Payments at odds with an order that was released without them: open or captured. Each has to
   * be closed, taken late, or refunded; the sweeper drives them again. Looks at orders released
   * from `since` on (from the first when absent) and before `before`.
   */
  async function stray(options: {
    since?: number;
    before: number;
    limit: number;
  }): Promise<Payment[]> {
    return await database.query<Payment>(
      `select ${paymentColumns} from orders o join payments p on p.order_id = o.id
       where o.state = 'released' and o.released_at >= $1 and o.released_at < $2
         and p.state in ('started', 'unknown', 'captured')
       order by o.released_at, o.id, p.attempt limit $3`,
      [options.since ?? 0, options.before, options.limit],
    );
  }

  const decisions = openRefundDecisions(database, clock);
  return { ...{ begin, beginCharged, record, find, ofOrder, stray }, ...decisions };
}

/** A payment as `begin` writes it; reading it back would cost as much as writing it. */
function started(start: PaymentStart, startedAt: number): Payment {
  const { orderId, drop, provider, amount, currency, attempt = 1 } = start;
  return {
    ...{ orderId, drop, attempt, reference: paymentReference(orderId, attempt) },
    ...{ provider, amount, currency, startedAt, state: 'started', reason: '' },
    ...{ amountCaptured: 0, amountRefunded: 0 },
    ...{ capturedAt: null, declinedAt: null, refundedAt: null, refundAskedAt: null },
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

/** A statement moves a row once, so several facts of one payment go one after the other. */
function layers<T extends { reference: string }>(rows: readonly T[]): T[][] {
  const found: T[][] = [];
  const depth = new Map<string, number>();
  for (const row of rows) {
    const at = depth.get(row.reference) ?? 0;
    depth.set(row.reference, at + 1);
    const layer = found[at] ?? [];
    layer.push(row);
    found[at] = layer;
  }
  return found;
}

const beginSql = `
  insert into payments (order_id, drop_id, attempt, reference, provider, amount, currency, state,
    reason, amount_captured, started_at, captured_at, declined_at)
  select "orderId", "drop", attempt, reference, provider, amount, currency, state, reason,
    "amountCaptured", "startedAt", "capturedAt", "declinedAt"
  from json_to_recordset($1::json) as r("orderId" text, "drop" text, attempt integer,
    reference text, provider text, amount bigint, currency text, state text, reason text,
    "amountCaptured" bigint, "startedAt" bigint, "capturedAt" bigint, "declinedAt" bigint)
  order by reference collate "C"
  on conflict do nothing
  returning reference`;

const recordSql = `
  update payments p set
    state = case when array_position($3::text[], f.state) > array_position($3::text[], p.state)
      then f.state else p.state end,
    reason = case when array_position($3::text[], f.state) > array_position($3::text[], p.state)
      then f.reason else p.reason end,
    amount_captured = greatest(p.amount_captured, coalesce(f.captured, p.amount)),
    amount_refunded = greatest(p.amount_refunded, coalesce(f.refunded, p.amount)),
    captured_at = case when f.state = 'captured' then coalesce(p.captured_at, $2)
      else p.captured_at end,
    declined_at = case when f.state = 'declined' then coalesce(p.declined_at, $2)
      else p.declined_at end,
    refunded_at = case when f.state = 'refunded' then coalesce(p.refunded_at, $2)
      else p.refunded_at end
  from json_to_recordset($1::json) as f(reference text, state text, reason text,
    captured bigint, refunded bigint)
  where p.reference = f.reference collate "C"
  returning p.reference, p.state, p.reason, p.amount_captured as "amountCaptured",
    p.amount_refunded as "amountRefunded", p.refund_asked_at as "refundAskedAt"`;
