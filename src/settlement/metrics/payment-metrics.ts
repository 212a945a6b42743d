import {
  type NotificationVerdict,
  notificationVerdicts,
} from '../../ledger/payments/notifications.ts';
import type { Metrics } from '../../metrics.ts';
import {
  type NotificationRefusal,
  notificationRefusals,
  type PaymentAlarm,
  type Providers,
  paymentAlarms,
} from '../../payments/provider.ts';

export type PaymentMetrics = ReturnType<typeof openPaymentMetrics>;

const paymentCounts = ['captured', 'declined', 'unknown', 'late_retaken', 'late_refunded'] as const;
export type PaymentCount = (typeof paymentCounts)[number];

/** `taken_back`: was done and has failed. `came_true`: had failed and is done. */
const refundCounts = ['done', 'failed', 'taken_back', 'came_true'] as const;
export type RefundCount = (typeof refundCounts)[number];

export type NotificationCount = NotificationVerdict | NotificationRefusal | 'ignored' | 'oversized';
const notificationCounts: readonly NotificationCount[] = [
  ...new Set([...notificationVerdicts, ...notificationRefusals, 'ignored', 'oversized'] as const),
];

/** Counters of payments, refunds and notifications by provider. Without metrics nothing is counted. */
export function openPaymentMetrics(metrics: Metrics | undefined, providers: Providers) {
  const names = [...providers.keys()];
  const notifiers = [...providers.values()].filter(({ readNotification }) => readNotification);
  const notifierNames = notifiers.map(({ name }) => name);
  const payments = metrics?.countsBy({
    name: 'payments_total',
    help: 'Payments by provider and what became of them; unknown counts answers, not payments',
    labels: ['provider', 'outcome'],
    series: pairs(names, paymentCounts),
  });
  const refunds = metrics?.countsBy({
    name: 'refunds_total',
    help: 'Refunds by provider: done, failed, taken_back (was done), came_true (had failed)',
    labels: ['provider', 'outcome'],
    series: pairs(names, refundCounts),
  });
  const notifications = metrics?.countsBy({
    name: 'notifications_total',
    help: 'Notifications by provider: new, repeated, ignored, or why they were refused',
    labels: ['provider', 'outcome'],
    series: pairs(notifierNames, notificationCounts),
  });
  const alarms = metrics?.countsBy({
    name: 'payment_alarms_total',
    help: 'Disputes and fraud warnings that providers told of: dispute, fraud_warning',
    labels: ['provider', 'alarm'],
    series: pairs(notifierNames, paymentAlarms),
  });
  const ages = metrics?.durations({
    name: 'notification_age_seconds',
    help: 'From the instant a provider sent a notification to ours of taking it',
    label: 'provider',
    values: notifierNames,
    bounds: [0.1, 0.5, 1, 5, 15, 60, 300, 3_600, 21_600, 86_400],
  });

  return {
    payment: (provider: string, outcome: PaymentCount, by = 1) => {
      if (by > 0) payments?.add([provider, outcome], by);
    },
    unknown: (provider: string, by: number) => payments?.add([provider, 'unknown'], by),
    refund: (provider: string, outcome: RefundCount, by: number) => {
      if (by > 0) refunds?.add([provider, outcome], by);
    },
    alarm: (provider: string, alarm: PaymentAlarm) => alarms?.add([provider, alarm]),
    notification(provider: string, outcome: NotificationCount, ageMs?: number): void {
      notifications?.add([provider, outcome]);
      if (ageMs !== undefined) ages?.observe(Math.max(0, ageMs) / 1_000, provider);
    },
  };
}

function pairs(providers: readonly string[], outcomes: readonly string[]): string[][] {
  return providers.flatMap((provider) => outcomes.map((outcome) => [provider, outcome]));
}
