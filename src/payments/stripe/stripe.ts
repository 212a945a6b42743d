import { type Clock, systemClock } from '../../domain/clock.ts';
import { throttleLog } from '../log-throttle.ts';
import type { PaymentProvider } from '../provider.ts';
import { openBill } from './bill.ts';
import { openClient } from './client.ts';
import { openFailures } from './failures.ts';
import { openNotifications } from './notification.ts';
import { stripeOffer } from './offer.ts';
import { openPayments } from './payments.ts';
import { openRefunds } from './refunds.ts';

export type StripeOptions = {
  secretKey: string;
  /** The signing secret of the webhook endpoint that Stripe calls. */
  webhookSecret: string;
  /** The address of Stripe's API. */
  url: string;
  /** Where the buyer's browser goes after paying, unless the client names another address. */
  returnUrl: string;
  timeoutMs?: number;
  clock?: Clock;
  /** Called with what Stripe refuses or fails to answer, at most once a second. */
  warn?: (message: string) => void;
};

const timeoutMs = 10_000;

/**
 * Stripe with Checkout Sessions: the buyer pays on Stripe's own page, and the engine never sees a card
 * number. The payment's reference is the idempotency key and the session's `client_reference_id`; the
 * session's id is the provider's reference.
 */
export function openStripe(options: StripeOptions): PaymentProvider {
  const { secretKey, webhookSecret, returnUrl, clock = systemClock } = options;
  const client = openClient({ timeoutMs, ...options });
  const failureOf = openFailures(throttleLog(options.warn ?? (() => {}), clock));
  const { intentOf, referenceOf, ...payments } = openPayments({
    client,
    failureOf,
    returnUrl,
    clock,
  });
  return {
    ...stripeOffer,
    ...payments,
    ...openRefunds({ client, failureOf, intentOf }),
    readNotification: openNotifications({ secretKey, webhookSecret, referenceOf, clock }),
    bill: openBill(client),
  };
}
