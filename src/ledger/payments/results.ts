import type { Clock } from '../../domain/clock.ts';
import type { PaymentReference } from '../../domain/ids.ts';
import type { Database, Query } from '../database/database.ts';
import { nextPollAfterEnd } from './polling.ts';
import { type Payment, type PaymentState, paymentStates } from './row.ts';

/** What a provider answered about a payment, to be recorded. */
export type PaymentResult = {
  reference: PaymentReference;
  state: Exclude<PaymentState, 'refunded'>;
  reason?: string;
  /** Captured, in minor units; the payment's own amount when absent. */
  amount?: number;
  providerReference?: string | undefined;
  /** What the buyer's client does to pay, as JSON; the one on record stays when absent. */
  action?: string | undefined;
  /** When to ask the provider next, ms; unchanged when absent. */
  nextPollAt?: number | undefined;
};

/** A payment after a result was recorded: the columns that results change. */
export type RecordedPayment = Pick<
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
  /** Whether this result gave the payment its state; false when that was known before. */
  changed: boolean;
};

export function openPaymentResults(database: Database, clock: Clock) {
  /**
   * Records results. A payment only moves forward (started, unknown, declined, captured), so results
   * may come in any order and any number of times.
   * @returns each named payment as it is now; unknown references are left out
   */
  async function record(results: readonly PaymentResult[]): Promise<RecordedPayment[]> {
    if (results.length === 0) return [];
    const rows = results.map((result) => ({
      reference: result.reference,
      state: result.state,
      reason: result.reason ?? '',
      captured: result.state === 'captured' ? (result.amount ?? null) : 0,
      providerReference: result.providerReference ?? null,
      action: result.action ?? null,
      nextPollAt: result.nextPollAt ?? null,
    }));
    const now = clock.now();
    const write = async (query: Query) => {
      const recorded = new Map<string, RecordedPayment>();
      for (const layer of distinctLayers(rows)) {
        const ordered = layer.sort((a, b) => (a.reference < b.reference ? -1 : 1));
        const params = [JSON.stringify(ordered), now, paymentStates];
        for (const row of await query<RecordedPayment>(recordSql, params)) {
          recorded.set(row.reference, row);
        }
      }
      return [...recorded.values()];
    };
    const once = new Set(rows.map((row) => row.reference)).size === rows.length;
    return once ? await write(database.query) : await database.transaction(write);
  }

  return { record };
}

/**
 * Rows in groups that name each payment once: a statement updates a row once, so several results of
 * one payment are written one after the other.
 */
function distinctLayers<T extends { reference: string }>(rows: readonly T[]): T[][] {
  const layers: T[][] = [];
  const depth = new Map<string, number>();
  for (const row of rows) {
    const at = depth.get(row.reference) ?? 0;
    depth.set(row.reference, at + 1);
    const layer = layers[at] ?? [];
    layer.push(row);
    layers[at] = layer;
  }
  return layers;
}

/** Whether a result is later than the recorded state; the same or an earlier one changes nothing. */
const moves = 'array_position($3::text[], f.state) > array_position($3::text[], p.state)';

// An answer that a closed payment is still closed sets the next poll of its schedule, except when a
// poll is due already (a notification came meanwhile): that one stays due. The columns look_at and
// looks hold the time of the next poll and the polls so far.
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
      as changed`;
