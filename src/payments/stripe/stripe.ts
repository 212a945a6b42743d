import { type Clock, systemClock } from '../../domain/clock.ts';
import { seldom } from '../log-throttle.ts';
import type { PaymentProvider } from '../provider.ts';
import { openBill } from './bill.ts';
import { openClient } from './client.ts';
import { takesCurrency } from './currencies.ts';
import { openFailures } from './failures.ts';
import { answerEvent, openEvents } from './notification.ts';
import { openRefunds } from './refunds.ts';
import { refuseWish } from './session-requests.ts';
import { openSessions } from './sessions.ts';

export type StripeOptions = {
  secretKey: string;
  /** Of the webhook endpoint at which Stripe reaches this engine. */
  webhookSecret: string;
  /** Where Stripe's API is. */
  url: string;
  /** Where the buyer goes after paying when their client names no place of its own. */
  returnUrl: string;
  timeoutMs?: number;
  clock?: Clock;
  /** Told what Stripe refuses or fails to answer, at most once a second. */
  warn?: (message: string) => void;
};

const timeoutMs = 10_000;

/**
 * Stripe, by Checkout Sessions: the buyer pays on Stripe's own page, and no card's number comes near
 * the engine. The payment's reference is the idempotency key and the session's
 * `client_reference_id`; the session's id is the provider's reference.
 */
export function openStripe(options: StripeOptions): PaymentProvider {
  const { secretKey, webhookSecret, returnUrl, clock = systemClock } = options;
  const client = openClient({ timeoutMs, ...options });
  const failureOf = openFailures(seldom(options.warn ?? (() => {}), clock));
  const sessions = openSessions({ client, failureOf, returnUrl, clock });
  const { start, lookUp, close, intentOf } = sessions;
  return {
    name: 'stripe',
    startedBy: 'buyer',
    takes: takesCurrency,
    scenes: [],
    refuseWish,
    start,
    lookUp,
    close,
    refund: openRefunds({ client, failureOf, intentOf }),
    readNotification: openEvents({ secretKey, webhookSecret, clock }),
    answerNotification: answerEvent,
    bill: openBill(client),
  };
}
