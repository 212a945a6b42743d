import type { Metrics } from '../../metrics.ts';

export type PaymentMetrics = ReturnType<typeof openPaymentMetrics>;

/** Counters of payments, refunds and notifications by provider. Without metrics nothing is counted. */
export function openPaymentMetrics(metrics: Metrics | undefined) {
  const payments = metrics?.countsBy({
    name: 'payments_total',
    help: 'Payments by provider and what became of them; unknown counts answers, not payments',
    labels: ['provider', 'outcome'],
  });
  const refunds = metrics?.countsBy({
    name: 'refunds_total',
    help: 'Refunds by provider: done, failed',
    labels: ['provider', 'outcome'],
  });
  const notifications = metrics?.countsBy({
    name: 'notifications_total',
    help: 'Notifications by provider: new, repeated, ignored, or why they were refused',
    labels: ['provider', 'outcome'],
  });
  const ages = metrics?.durations({
    name: 'notification_age_seconds',
    help: 'From the instant a provider sent a notification to ours of taking it',
    label: 'provider',
    bounds: [0.1, 0.5, 1, 5, 15, 60, 300, 3_600, 21_600, 86_400],
  });

  return {
    payment: (provider: string, outcome: PaymentCount, by = 1) => {
      if (by > 0) payments?.add([provider, outcome], by);
    },
    unknown: (provider: string, by: number) => payments?.add([provider, 'unknown'], by),
    refund: (provider: string, outcome: 'done' | 'failed', by: number) => {
      if (by > 0) refunds?.add([provider, outcome], by);
    },
    notification(provider: string, outcome: string, ageMs?: number): void {
      notifications?.add([provider, outcome]);
      if (ageMs !== undefined) ages?.observe(Math.max(0, ageMs) / 1_000, provider);
    },
  };
}

export type PaymentCount = 'captured' | 'declined' | 'unknown' | 'late_retaken' | 'late_refunded';
