import type { Stripe } from 'stripe';
import type { Charge, ClientWish, PaymentRef } from '../provider.ts';
import { toStripe } from './currencies.ts';
import { metadataKey } from './references.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const titleMax = 250;
const urlMax = 2048;

/**
 * How long after it was begun a charge may still be sent to Stripe for the first time. Stripe wants
 * a session to last half an hour at least, counted from its creation, and a repeat has to be the
 * same request to the byte: so the end leaves room for one that arrives this late.
 */
export const createWithinMs = 5 * minuteMs;
const lifeMinMs = 30 * minuteMs + createWithinMs + 5 * minuteMs;
const lifeMaxMs = 24 * hourMs - 10 * minuteMs;

/**
 * Ways to pay that settle days after the buyer is done, which no hold lasts: debits, vouchers, bank
 * transfers. Which of the others are offered is set in Stripe's dashboard.
 */
const delayed = [
  ...['acss_debit', 'au_becs_debit', 'bacs_debit', 'boleto', 'customer_balance', 'konbini'],
  ...['multibanco', 'nz_bank_account', 'oxxo', 'payto', 'sepa_debit', 'sofort', 'us_bank_account'],
];

/**
 * A Checkout Session on Stripe's own page. It outlives a short hold: the engine closes it before the
 * hold lapses.
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
    // Stripe copies these to the charge, where the bill finds the reference.
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
    // The buyer pays the very amount in the drop's own currency.
    adaptive_pricing: { enabled: false },
    excluded_payment_method_types: [...delayed],
    expires_at: endOf(charge),
    success_url: back,
    cancel_url: back,
  };
}

/** Seconds since the epoch, from the charge alone. */
export function endOf({ startedAt, expiresAt }: Pick<Charge, 'startedAt' | 'expiresAt'>): number {
  const end = Math.max(expiresAt, startedAt + lifeMinMs);
  return Math.ceil(Math.min(end, startedAt + lifeMaxMs) / 1000);
}

/**
 * A session that takes no money, created under a payment's idempotency key so that the payment's own
 * can no longer be: what was under way for it is refused from then on.
 */
export function sealRequest(
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

export function refuseWish({ returnUrl }: ClientWish) {
  if (returnUrl === undefined) return undefined;
  const isWeb = /^https?:$/.test(URL.parse(returnUrl)?.protocol ?? '');
  if (isWeb && returnUrl.length <= urlMax) return undefined;
  const reason = `must be an http or https address of at most ${urlMax} characters`;
  return { field: 'returnUrl' as const, reason };
}
