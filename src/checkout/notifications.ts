import type { Clock } from '../domain/clock.ts';
import type { Notifications } from '../ledger/payments/notifications.ts';
import type { Log } from '../log.ts';
import type {
  NotificationAnswer,
  PaymentProvider,
  Providers,
  RawNotification,
} from '../payments/provider.ts';
import { withDeadline } from '../scheduling/deadline.ts';
import type { PaymentMetrics } from '../settlement/metrics/payment-metrics.ts';

export type ProviderNotifications = {
  /**
   * Takes a provider's notification as it came. Undefined when nobody of this name sends any. One that
   * is not the provider's, or not about a payment of ours as we began it, changes nothing; any other
   * makes the worker ask the provider, which alone says how the payment stands.
   */
  take(provider: string, raw: RawNotification): Promise<NotificationAnswer | undefined>;
  /** One was too large to be read. */
  tooLarge(provider: string): void;
};

/** A provider that sends notifications. */
type Notifier = PaymentProvider &
  Required<Pick<PaymentProvider, 'readNotification' | 'answerNotification'>>;

function isNotifier(provider: PaymentProvider): provider is Notifier {
  return provider.readNotification !== undefined && provider.answerNotification !== undefined;
}

/** WeChat Pay takes five seconds of silence for a failure; whoever repeats may be answered sooner. */
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
      // Anybody can name a provider in an address: only those that send any are counted.
      if (!providers.get(name)?.readNotification) return;
      counts.notification(name, 'oversized');
      log.warn({ provider: name, reason: 'oversized' }, 'a notification was refused');
    },

    async take(name, raw) {
      const provider = providers.get(name);
      if (!provider || !isNotifier(provider)) return undefined;
      // Reading goes on after the deadline and may still store it: then its repeat is known.
      const answer = await withDeadline(read(provider, raw), answerMsMax);
      return answer ?? provider.answerNotification('unavailable');
    },
  };

  async function read(
    { name, readNotification, answerNotification }: Notifier,
    raw: RawNotification,
  ): Promise<NotificationAnswer> {
    const notification = await readNotification(raw).catch((error: unknown) => {
      log.warn({ err: error, provider: name }, 'a notification could not be verified');
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
      log.warn({ provider: name, reason }, 'a notification was refused');
      return answerNotification('refused');
    }
    const { reference, sentAt } = notification;
    try {
      const verdict = await notifications.take({
        provider: name,
        payment: reference,
        ...notification,
      });
      const ageMs = clock.now() - sentAt;
      const isTaken = verdict === 'new' || verdict === 'repeated';
      counts.notification(name, verdict, isTaken ? ageMs : undefined);
      if (isTaken) return answerNotification('taken');
      log.warn({ provider: name, reference, reason: verdict }, 'a notification was refused');
      return answerNotification('refused');
    } catch (error) {
      log.warn({ err: error, provider: name }, 'a notification could not be kept');
      return answerNotification('unavailable');
    }
  }
}
