import type { Clock } from '../domain/clock.ts';
import type { Notifications } from '../ledger/payments/notifications.ts';
import type { Log } from '../log.ts';
import type {
  NotificationAnswer,
  PaymentAlarm,
  PaymentProvider,
  Providers,
  RawNotification,
} from '../payments/provider.ts';
import { withDeadline } from '../scheduling/deadline.ts';
import type { PaymentMetrics } from '../settlement/metrics/payment-metrics.ts';

export type ProviderNotifications = {
  /**
   * Takes a provider's notification, as received. One that is not signed by the provider, or does not
   * match a payment that we began, changes nothing. Any other makes a worker poll the provider: only
   * its answer decides the payment's state.
   * @returns undefined when no provider of this name sends notifications
   */
  take(provider: string, raw: RawNotification): Promise<NotificationAnswer | undefined>;
  /** Counts a notification that was too large to be read. */
  tooLarge(provider: string): void;
};

const alarmTexts: Record<PaymentAlarm, string> = {
  dispute: 'payment is disputed: an operator has to answer at the provider',
  fraud_warning: 'payment is suspected of fraud: an operator has to decide whether to refund it',
};

/** A provider that sends notifications. */
type Notifier = PaymentProvider &
  Required<Pick<PaymentProvider, 'readNotification' | 'answerNotification'>>;

function isNotifier(provider: PaymentProvider): provider is Notifier {
  return provider.readNotification !== undefined && provider.answerNotification !== undefined;
}

/** In ms. WeChat Pay counts five seconds without an answer as a failure, and repeats the notification. */
const answerMsMaxDefault = 4_000;

export function openProviderNotifications(options: {
  notifications: Notifications;
  providers: Providers;
  counts: PaymentMetrics;
  clock: Clock;
  log: Log;
  answerMsMax?: number;
}): ProviderNotifications {
  const { notifications, providers, counts, clock, log } = options;
  const { answerMsMax = answerMsMaxDefault } = options;

  return {
    tooLarge(name) {
      // Anybody can write any name into the address: only providers that send notifications are counted.
      if (!providers.get(name)?.readNotification) return;
      counts.notification(name, 'oversized');
      log.warn({ provider: name, reason: 'oversized' }, 'notification refused');
    },

    async take(name, raw) {
      const provider = providers.get(name);
      if (!provider || !isNotifier(provider)) return undefined;
      // Reading continues after the deadline and may still store it: then its repeat is recognised.
      const answer = await withDeadline(read(provider, raw), answerMsMax);
      return answer ?? provider.answerNotification('unavailable');
    },
  };

  async function read(
    { name, readNotification, answerNotification }: Notifier,
    raw: RawNotification,
  ): Promise<NotificationAnswer> {
    const notification = await readNotification(raw).catch((error: unknown) => {
      log.warn({ err: error, provider: name }, 'verifying a notification failed');
      return undefined;
    });
    if (!notification) return answerNotification('unavailable');
    if (notification.kind === 'ignored') {
      counts.notification(name, 'ignored');
      return answerNotification('taken');
    }
    if (notification.kind === 'refused') {
      const { reason } = notification;
      counts.notification(name, reason);
      log.warn({ provider: name, reason }, 'notification refused');
      return answerNotification('refused');
    }
    const { reference, sentAt, about, alarm, detail } = notification;
    try {
      const verdict = await notifications.take({
        provider: name,
        payment: reference,
        ...notification,
      });
      const ageMs = clock.now() - sentAt;
      const isTaken = verdict === 'new' || verdict === 'repeated';
      counts.notification(name, verdict, isTaken ? ageMs : undefined);
      if (isTaken && alarm) {
        if (verdict === 'new') counts.alarm(name, alarm);
        const order = await notifications.orderOf(reference);
        log.error({ provider: name, order, payment: reference, about, detail }, alarmTexts[alarm]);
      }
      if (isTaken) return answerNotification('taken');
      log.warn({ provider: name, reference, reason: verdict }, 'notification refused');
      return answerNotification('refused');
    } catch (error) {
      log.warn({ err: error, provider: name }, 'storing a notification failed');
      return answerNotification('unavailable');
    }
  }
}
