// A Stripe account is often shared with other programs: only what carries a reference of the
// engine's own form is the engine's.

/** The key in Stripe's metadata under which our reference stands. */
export const metadataKey = 'reference';

const paymentForm = /^fd[0-9a-f]{30}$/;
const refundForm = /^(fd[0-9a-f]{30})r\d+$/;

export function isPaymentReference(text: unknown): text is string {
  return typeof text === 'string' && paymentForm.test(text);
}

/** The payment that a refund's reference belongs to. */
export function paymentOf(refundReference: unknown): string | undefined {
  return typeof refundReference === 'string' ? refundForm.exec(refundReference)?.[1] : undefined;
}
