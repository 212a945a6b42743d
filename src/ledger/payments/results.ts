import type { Clock } from '../../domain/clock.ts';
import type { Database, Query } from '../database/database.ts';
import { nextPollAfterEnd } from './polling.ts';
import { type Payment, type PaymentState, paymentStates } from './row.ts';

/** What became of a payment; `amount` is what was captured or refunded, in minor units. */
export type PaymentFact = {
  reference: string;
  state: Exclude<PaymentState, 'refunded'>;
  reason?: string;
  amount?: number;
  providerReference?: string | undefined;
  /** JSON; kept until another comes. */
  action?: string | undefined;
  /** When to ask next; as it was when absent. */
  nextPollAt?: number | undefined;
};

/** The part of a payment that facts change. */
export type PaymentResult = Pick<
  Payment,
  | 'reference'
  | 'state'
  | 'reason'
  | 'amountCaptured'
  | 'amountRefunded'
  | 'refundAskedAt'
  | 'providerReference'
  | 'action'
  | 'nextPollAt'
> & {
  /** This was the news: the payment has its state since now. */
  moved: boolean;
};

export function openPaymentFacts(database: Database, clock: Clock) {
  /**
   * Adds facts to payments; a payment only moves forward (started, unknown, declined, captured).
   * Gives what every named payment has now come to; unknown references are left out.
   */
  async function record(facts: readonly PaymentFact[]): Promise<PaymentResult[]> {
    if (facts.length === 0) return [];
    const rows = facts.map((fact) => ({
      reference: fact.reference,
      state: fact.state,
      reason: fact.reason ?? '',
      captured: fact.state === 'captured' ? (fact.amount ?? null) : 0,
      providerReference: fact.providerReference ?? null,
      action: fact.action ?? null,
      nextPollAt: fact.nextPollAt ?? null,
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

  return { record };
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

/** A later fact than what is known; the same or an earlier one moves nothing. */
const moves = 'array_position($3::text[], f.state) > array_position($3::text[], p.state)';

// A closed payment that is closed still has been looked at; a look that is due meanwhile stays due.
const recordSql = `
  update payments p set
    state = case when ${moves}
      then f.state else p.state end,
    reason = case when ${moves}
      then f.reason else p.reason end,
    amount_captured = greatest(p.amount_captured, coalesce(f.captured, p.amount)),
    provider_reference = coalesce(f."providerReference", p.provider_reference),
    action = coalesce(f.action, p.action),
    look_at = case when ${moves} then coalesce(f."nextPollAt", p.look_at)
      when f.state = 'declined' and p.state = 'declined' and p.look_at > $2
        then ${nextPollAfterEnd('p', '$2')}
      else p.look_at end,
    looks = case when ${moves} then 0 else p.looks end,
    captured_at = case when f.state = 'captured' then coalesce(p.captured_at, $2)
      else p.captured_at end,
    declined_at = case when f.state = 'declined' then coalesce(p.declined_at, $2)
      else p.declined_at end
  from json_to_recordset($1::json) as f(reference text, state text, reason text,
    captured bigint, "providerReference" text, action text, "nextPollAt" bigint)
  where p.reference = f.reference collate "C"
  returning p.reference, p.state, p.reason, p.amount_captured as "amountCaptured",
    p.amount_refunded as "amountRefunded", p.refund_asked_at as "refundAskedAt",
    p.provider_reference as "providerReference", p.action, p.look_at as "nextPollAt",
    (f.state = 'captured' and p.captured_at = $2) or (f.state = 'declined' and p.declined_at = $2)
      as moved`;
