import type { Stripe } from 'stripe';
import type { Charge, PaymentRef } from '../provider.ts';
import { toStripe } from './money.ts';
import { metadataKey } from './references.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const titleMax = 250;

/**
 * How long after its beginning a charge may still be sent to Stripe, ms. A session has to last half an
 * hour from its creation, and a repeated request has to be the same to the byte, so the end of the
 * session leaves room for a request that arrives this late.
 */
export const createWithinMs = 5 * minuteMs;
const lifeMinMs = 30 * minuteMs + createWithinMs + 5 * minuteMs;
const lifeMaxMs = 24 * hourMs - 10 * minuteMs;

/**
 * Payment methods that settle days later, longer than any hold: debits, vouchers, bank transfers. Which
 * of the other methods are offered is set in Stripe's dashboard.
 */
const delayedMethods = [
  ...['acss_debit', 'au_becs_debit', 'bacs_debit', 'boleto', 'customer_balance', 'konbini'],
  ...['multibanco', 'nz_bank_account', 'oxxo', 'payto', 'sepa_debit', 'sofort', 'us_bank_account'],
];

/**
 * The request for a Checkout Session on Stripe's own page. The session may last longer than a short
 * hold; the engine closes it before the hold ends.
 */
export function sessionRequest(
  charge: Charge,
  returnUrl: string,
): Stripe.Checkout.SessionCreateParams {
  const back = charge.wish.returnUrl ?? returnUrl;
  const metadata = { [metadataKey]: charge.reference, order: charge.orderId };
  return {
    mode: 'payment',
    client_reference_id: charge.reference,
    metadata,
    // Stripe copies these to the charge, where the bill takes the reference from.
    payment_intent_data: { metadata },
    line_items: [
      {
        quantity: 1,
        price_data: {
          currency: toStripe(charge.currency),
          unit_amount: charge.amount,
          product_data: { name: charge.title.slice(0, titleMax) || charge.orderId },
        },
      },
    ],
    // The buyer pays the exact amount, in the drop's currency.
    adaptive_pricing: { enabled: false },
    excluded_payment_method_types: [...delayedMethods],
    expires_at: endOf(charge),
    success_url: back,
    cancel_url: back,
  };
}

/** The end of a session, seconds since the epoch; computed from the charge alone. */
export function endOf({ startedAt, expiresAt }: Pick<Charge, 'startedAt' | 'expiresAt'>): number {
  const end = Math.max(expiresAt, startedAt + lifeMinMs);
  return Math.ceil(Math.min(end, startedAt + lifeMaxMs) / 1000);
}

/**
 * The request for a session that takes no money. Created under a payment's idempotency key, it blocks
 * the payment's own session: Stripe refuses requests for that one from then on.
 */
export function blockingRequest(
  { reference }: PaymentRef,
  returnUrl: string,
): Stripe.Checkout.SessionCreateParams {
  return {
    mode: 'setup',
    allowed_payment_method_types: ['card'],
    client_reference_id: reference,
    metadata: { [metadataKey]: reference, closed: 'before it was begun' },
    success_url: returnUrl,
  };
}
