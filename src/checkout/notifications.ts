import type { Clock } from '../domain/clock.ts';
import type { Notifications } from '../ledger/payments/notifications.ts';
import { isTopUpId } from '../ledger/wallet/topups.ts';
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

/** What an operator has to do. The engine moves no money and ends no order because of an alarm. */
const alarmTexts: Record<'order' | 'topUp', Record<PaymentAlarm, string>> = {
  order: {
    dispute:
      'payment is disputed: answer at the provider. The order stays paid; the provider may take the amount back, so decide about the goods',
    fraud_warning: 'payment is suspected of fraud: decide whether to refund the order',
  },
  topUp: {
    dispute:
      'top-up is disputed: answer at the provider. The wallet keeps its money; the provider may take the amount back',
    fraud_warning:
      'top-up is suspected of fraud: decide whether to refund it at the provider. The wallet keeps its money',
  },
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
        await logAlarm(alarm, { provider: name, reference, about, detail });
      }
      if (isTaken) return answerNotification('taken');
      log.warn({ provider: name, reference, reason: verdict }, 'notification refused');
      return answerNotification('refused');
    } catch (error) {
      log.warn({ err: error, provider: name }, 'storing a notification failed');
      return answerNotification('unavailable');
    }
  }

  /** Names the order or top-up, the payment and the amount in minor units, and says what to do. */
  async function logAlarm(
    alarm: PaymentAlarm,
    told: { provider: string; reference: string; about: string; detail?: string | undefined },
  ): Promise<void> {
    const { reference: payment, ...rest } = told;
    const { payable = '', amount, currency } = (await notifications.aboutPayment(payment)) ?? {};
    const kind = isTopUpId(payable) ? 'topUp' : 'order';
    log.error({ ...rest, [kind]: payable, payment, amount, currency }, alarmTexts[kind][alarm]);
  }
}
