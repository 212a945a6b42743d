import { type Clock, systemClock } from '../../domain/clock.ts';
import type { Database } from '../database/database.ts';

/** What a provider told us of a payment. */
export type StoredNotification = {
  provider: string;
  /** The provider's id of the message. */
  id: string;
  /** The payment's reference. */
  payment: string;
  about: string;
  sentAt: number;
  /** The sum of the payment, where the message names one. */
  amount?: number | undefined;
  currency?: string | undefined;
};

export type NotificationVerdict =
  | 'new'
  | 'repeated'
  | 'unknown_order'
  | 'other_amount'
  | 'other_currency';

export type Notifications = ReturnType<typeof openNotifications>;

/** Providers' messages, each kept once. */
export function openNotifications(database: Database, clock: Clock = systemClock) {
  /**
   * Takes a message about one of our payments and makes the payment's look due now; both in one
   * statement, so that what was answered for is not forgotten. One that does not fit its payment
   * changes nothing.
   */
  async function take(notice: StoredNotification): Promise<NotificationVerdict> {
    const { provider, id, payment, about, sentAt, amount = null, currency = null } = notice;
    const [row] = await database.query<{ verdict: NotificationVerdict }>(takeSql, [
      ...[provider, id, payment, about, sentAt, amount, currency],
      clock.now(),
    ]);
    return row?.verdict ?? 'unknown_order';
  }

  return { take };
}

// Due whatever the clocks say.
const takeSql = `
  with known as (
    select reference, case
      when $6::bigint is not null and $6::bigint <> amount then 'other_amount'
      when $7::text is not null and $7::text <> currency then 'other_currency' end as refusal
    from payments where reference = $3 and provider = $1),
  taken as (
    insert into notifications as n (provider, id, payment, about, sent_at, received_at)
    select $1, $2, $3, $4, $5, $8 from known where refusal is null
    on conflict (provider, id) do update set repeats = n.repeats + 1
    returning repeats),
  looked as (
    update payments set look_at = 0
    where reference in (select reference from known where refusal is null))
  select coalesce(refusal, case when (select repeats from taken) = 0 then 'new' else 'repeated' end)
    as verdict
  from known`;
