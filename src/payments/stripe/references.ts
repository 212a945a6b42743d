// A Stripe account is often shared with other programs. Only objects with a reference of the engine's
// form are the engine's.

import type { PaymentReference } from '../../domain/ids.ts';

/** The key of our reference in Stripe's metadata. */
export const metadataKey = 'reference';

const paymentForm = /^fd[0-9a-f]{30}$/;
const refundForm = /^(fd[0-9a-f]{30})r\d+$/;

export function isPaymentReference(text: unknown): text is PaymentReference {
  return typeof text === 'string' && paymentForm.test(text);
}

/** The reference of a refund's payment; undefined for what is no refund's reference. */
export function paymentOf(refundReference: unknown): string | undefined {
  return typeof refundReference === 'string' ? refundForm.exec(refundReference)?.[1] : undefined;
}
