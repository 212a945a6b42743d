import { hash } from 'node:crypto';

/** Facts about a payment only add up, so a later state is never undone by a late message. */
export const paymentStates = ['started', 'unknown', 'declined', 'captured', 'refunded'] as const;
export type PaymentState = (typeof paymentStates)[number];

export type Payment = {
  orderId: string;
  drop: string;
  attempt: number;
  /** What the provider knows this attempt by: see paymentReference. */
  reference: string;
  provider: string;
  /** The provider's own id of it, once told. */
  providerReference: string | null;
  amount: number;
  currency: string;
  state: PaymentState;
  reason: string;
  amountCaptured: number;
  amountRefunded: number;
  startedAt: number;
  capturedAt: number | null;
  declinedAt: number | null;
  refundedAt: number | null;
  /** When the decision to give the money back was written down, before the provider is asked. */
  refundAskedAt: number | null;
  /** What the buyer's client does to pay, as JSON; null where there is nothing to do. */
  action: string | null;
  /** The end of the time to pay, ms; null where the hold alone ends it. */
  payableUntil: number | null;
  /** When the provider is asked about it next, ms; null when there is nothing left to hear. */
  nextPollAt: number | null;
};

export type PaymentStart = {
  orderId: string;
  drop: string;
  provider: string;
  amount: number;
  currency: string;
  /** 1 when absent. A higher one only after the one before is known not to have been captured. */
  attempt?: number;
  /** For a payment that the buyer makes elsewhere: until when, and when to look first; ms. */
  payableUntil?: number;
  nextPollAt?: number;
};

/**
 * What a provider knows an attempt by. The wallet's names its order; elsewhere it has the 32 letters
 * and digits that every provider takes (WeChat Pay's limit), 120 bits of them a digest.
 */
export function paymentReference(orderId: string, attempt: number, provider = 'wallet'): string {
  if (provider === 'wallet') return `pay_${orderId}_${attempt}`;
  return `fd${hash('sha256', `${orderId}\0${attempt}`, 'hex').slice(0, 30)}`;
}

/** A payment's row, of the table called p. */
export const paymentColumns = `p.order_id as "orderId", p.drop_id as "drop", p.attempt, p.reference,
  p.provider, p.amount, p.currency, p.state, p.reason, p.amount_captured as "amountCaptured",
  p.amount_refunded as "amountRefunded", p.started_at as "startedAt",
  p.captured_at as "capturedAt", p.declined_at as "declinedAt", p.refunded_at as "refundedAt",
  p.refund_asked_at as "refundAskedAt", p.provider_reference as "providerReference", p.action,
  p.payable_until as "payableUntil", p.look_at as "nextPollAt"`;
