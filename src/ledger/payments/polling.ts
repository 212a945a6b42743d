import type { Database } from '../database/database.ts';

/**
 * How long after a look the next one comes, in ms. An open payment is asked about more and more
 * seldom, and once more the moment its time is over, when it is closed. A closed one is asked about
 * for a day: its provider may have taken money all the same, and the message of it may be lost. A
 * captured one is until its order has ended with it.
 */
export const lookDelays = {
  openFirstMs: 3_000,
  openMostMs: 30_000,
  closingFirstMs: 500,
  capturedMs: 5_000,
  /** After its end, not after the look before: looks that messages ask for use none of these up. */
  endedMs: [1, 2, 8, 44, 4 * 60, 26 * 60].map((minutes) => minutes * 60_000),
  /** After a look at a closed payment that got no answer; later a quarter of the time since its end. */
  endedAgainMs: 15_000,
} as const;

/** When providers are asked about payments that buyers make with them. */
export function openPolling(database: Database) {
  /**
   * Takes payments whose look is due, giving each its next one at once: so another process does not
   * take them too, and they come again should this one die. Gives orders by provider; leaves out what
   * is with the `busy` ones. `now` is Redis' clock, which the end of the time to pay is judged by.
   */
  async function takeDuePolls(due: {
    now: number;
    limit: number;
    busy?: readonly string[];
  }): Promise<Map<string, string[]>> {
    const { now, limit, busy = [] } = due;
    const params = [now, limit, busy];
    const rows = await database.query<{ orderId: string; provider: string }>(takeSql, params);
    const taken = new Map<string, Set<string>>();
    for (const { provider, orderId } of rows) {
      const orders = taken.get(provider) ?? new Set();
      taken.set(provider, orders.add(orderId));
    }
    return new Map([...taken].map(([provider, orders]) => [provider, [...orders]]));
  }

  /** Nothing more is to be heard of these. */
  async function endPolling(references: readonly string[]): Promise<void> {
    if (references.length === 0) return;
    await database.query(
      `update payments set look_at = null
       where reference = any($1::text[]) and look_at is not null`,
      [references],
    );
  }

  return { takeDuePolls, endPolling };
}

const { openFirstMs, openMostMs, closingFirstMs, capturedMs, endedMs, endedAgainMs } = lookDelays;
/** A look that comes within this is the one being taken: clocks differ. */
const leastMs = 5_000;

/** In SQL: when a closed payment, of the table named, is asked about next, if it was answered for now. */
export function nextPollAfterEnd(table: string, now: string): string {
  const at = `${table}.declined_at + ms`;
  return `(select min(${at}) from unnest(array[${endedMs.join()}]::bigint[]) as ms
    where ${at} > ${now}::bigint + ${leastMs})`;
}

// Money that goes back is driven on by takeRefunds: a look that a message asked for is its last.
// At a closed payment the next look comes soon, unless its provider answers: see recordSql.
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
    else $1 + least(${openMostMs}, ${closingFirstMs} * 2::float8 ^ least(looks, 10))::bigint end
  from due where p.reference = due.reference
  returning p.order_id as "orderId", p.provider`;
