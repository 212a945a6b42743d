import { type Clock, systemClock } from '../../domain/clock.ts';
import type { PayableId } from '../../domain/ids.ts';
import type { Database } from '../database/database.ts';

/** A provider's notification about a payment, verified and read. */
export type StoredNotification = {
  provider: string;
  /** The provider's id of the notification: a repeat has the same. */
  id: string;
  /** The payment's reference. */
  payment: string;
  /** The kind of notification in the provider's words, for people. */
  about: string;
  /** Ms since the epoch. */
  sentAt: number;
  /** The amount of the payment in minor units, where the notification names one. */
  amount?: number | undefined;
  currency?: string | undefined;
};

export const notificationVerdicts = [
  'new',
  'repeated',
  'unknown_order',
  'other_amount',
  'other_currency',
] as const;
export type NotificationVerdict = (typeof notificationVerdicts)[number];

export type AboutPayment = { payable: PayableId; amount: number; currency: string };

export type Notifications = ReturnType<typeof openNotifications>;

/** Notifications of providers, each stored once. */
export function openNotifications(database: Database, clock: Clock = systemClock) {
  /**
   * Stores a notification about one of our payments and makes the poll of the payment and the check of its
   * refunds due now. All happens in one statement, so a notification that was answered is never without
   * its poll. One that does not match its payment changes nothing.
   */
  async function take(notification: StoredNotification): Promise<NotificationVerdict> {
    const { provider, id, payment, about, sentAt } = notification;
    const { amount = null, currency = null } = notification;
    const [row] = await database.query<{ verdict: NotificationVerdict }>(takeSql, [
      provider,
      id,
      payment,
      about,
      sentAt,
      amount,
      currency,
      clock.now(),
    ]);
    return row?.verdict ?? 'unknown_order';
  }

  /**
   * The order or top-up that a payment is for, and its amount in minor units; undefined for a reference that
   * is not ours.
   */
  async function aboutPayment(reference: string): Promise<AboutPayment | undefined> {
    const [row] = await database.query<AboutPayment>(
      'select order_id as "payable", amount, currency from payments where reference = $1',
      [reference],
    );
    return row;
  }

  return { take, aboutPayment };
}

// look_at is the time of the next poll: 0 is due by any clock. try_at is -1 until the refund is asked about
// again, so that an answer that was under way does not count as one that came after the notification.
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
  made_due as (
    update payments set look_at = 0
    where reference in (select reference from known where refusal is null)),
  refunds_due as (
    update refunds set
      try_at = case when state in ('asked', 'pending') and dealt_with_at is null then -1
        else try_at end,
      check_at = case when state in ('done', 'failed') or dealt_with_at is not null then 0
        else check_at end
    where payment in (select reference from known where refusal is null))
  select coalesce(refusal, case when (select repeats from taken) = 0 then 'new' else 'repeated' end)
    as verdict
  from known`;
