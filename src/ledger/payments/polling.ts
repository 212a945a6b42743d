import type { PayableId, PaymentReference } from '../../domain/ids.ts';
import type { Database } from '../database/database.ts';

// The columns payments.look_at and payments.looks are the time of the next poll (ms; null when the
// provider is not asked any more) and how often the payment was polled in its state.

/**
 * Time from one poll of a payment to the next, in ms. An open payment is polled at growing intervals,
 * and once more at the end of its time to pay, when it is closed. A closed payment is polled for a day
 * more: the provider may have taken money all the same, and its notification may be lost. A captured
 * payment is polled until its order has ended with it.
 */
export const pollDelays = {
  openFirstMs: 3_000,
  openMostMs: 30_000,
  /** After the end of the time to pay; later half the time since then. */
  closingFirstMs: 500,
  capturedMs: 5_000,
  /** Counted from the end of the payment, so polls that notifications ask for use none of these up. */
  endedMs: [1, 2, 8, 44, 4 * 60, 26 * 60].map((minutes) => minutes * 60_000),
  /** After a poll of a closed payment without an answer; later a quarter of the time since its end. */
  endedAgainMs: 15_000,
} as const;

/** When providers are asked about payments that buyers make with them. */
export function openPolling(database: Database) {
  /**
   * Takes payments whose poll is due and sets their next poll in the same statement: no other process
   * takes them too, and they come due again should this process die.
   * @param due.now ms by Redis' clock, by which the time to pay ends
   * @param due.busy providers whose payments are left for later
   * @returns the ids of their orders and top-ups by provider
   */
  async function takeDuePolls(due: {
    now: number;
    limit: number;
    busy?: readonly string[];
  }): Promise<Map<string, PayableId[]>> {
    const { now, limit, busy = [] } = due;
    const params = [now, limit, busy];
    const rows = await database.query<{ orderId: PayableId; provider: string }>(takeSql, params);
    const taken = new Map<string, Set<PayableId>>();
    for (const { provider, orderId } of rows) {
      const orders = taken.get(provider) ?? new Set();
      taken.set(provider, orders.add(orderId));
    }
    return new Map([...taken].map(([provider, orders]) => [provider, [...orders]]));
  }

  /** Ends the polling of payments whose provider has nothing more to say. */
  async function endPolling(references: readonly PaymentReference[]): Promise<void> {
    if (references.length === 0) return;
    await database.query(
      `update payments set look_at = null
       where reference = any($1::text[]) and look_at is not null`,
      [references],
    );
  }

  return { takeDuePolls, endPolling };
}

const { openFirstMs, openMostMs, closingFirstMs, capturedMs, endedMs, endedAgainMs } = pollDelays;
/** A poll of the schedule this close to now is the one being made: clocks differ. */
const leastMs = 5_000;

/** SQL for the next poll of a closed payment, in the table named, whose provider answered just now. */
export function nextPollAfterEnd(table: string, now: string): string {
  const at = `${table}.declined_at + ms`;
  return `(select min(${at}) from unnest(array[${endedMs.join()}]::bigint[]) as ms
    where ${at} > ${now}::bigint + ${leastMs})`;
}

// A payment with a decided refund is driven by takeDueRefunds, so a poll that a notification asked for
// is its last. A closed payment is polled again soon, unless the provider answers: see recordSql.
const takeSql = `
  with due as (
    select reference from payments where look_at <= $1 and provider <> all($3::text[])
    order by look_at limit $2 for update skip locked)
  update payments p set looks = looks + 1, look_at = case
    when refund_asked_at is not null then null
    when state in ('captured', 'refunded') then $1 + ${capturedMs}
    when state = 'declined' then
      least($1 + greatest(${endedAgainMs}, ($1 - declined_at) / 4), ${nextPollAfterEnd('p', '$1')})
    when payable_until > $1 then least(
      $1 + least(${openMostMs}, ${openFirstMs} * 2::float8 ^ least(looks, 10))::bigint, payable_until)
    else $1 + least(${openMostMs}, greatest(${closingFirstMs}, coalesce(($1 - payable_until) / 2,
      ${closingFirstMs} * 2::float8 ^ least(looks, 10))))::bigint end
  from due where p.reference = due.reference
  returning p.order_id as "orderId", p.provider`;
