import { hash } from 'node:crypto';
import type { DropId, OrderId, PayableId, PaymentReference } from '../../domain/ids.ts';

/**
 * In the order in which a payment moves through them: no result moves it back, however late. Only a refund
 * that the provider takes back does, from refunded to captured.
 */
export const paymentStates = ['started', 'unknown', 'declined', 'captured', 'refunded'] as const;
export type PaymentState = (typeof paymentStates)[number];

export type Payment = {
  orderId: PayableId;
  drop: DropId | '';
  attempt: number;
  /** Our id of this attempt at the provider: see paymentReference. */
  reference: PaymentReference;
  provider: string;
  /** The provider's own id of the payment; null until the provider has given one. */
  providerReference: string | null;
  /** Minor units, as are the other amounts. */
  amount: number;
  currency: string;
  state: PaymentState;
  reason: string;
  amountCaptured: number;
  amountRefunded: number;
  /** Ms since the epoch, as are the other times. */
  startedAt: number;
  capturedAt: number | null;
  declinedAt: number | null;
  refundedAt: number | null;
  /** When the full refund was decided, which is written before the provider is asked for it. */
  refundAskedAt: number | null;
  /** Whether the units go back on sale with the full refund. */
  restock: boolean;
  /** What the buyer's client does to pay, as JSON; null where there is nothing to do. */
  action: string | null;
  /** The end of the time to pay; null where the hold alone ends it. */
  payableUntil: number | null;
  /** When the provider is asked about it next; null when it is not asked any more. */
  nextPollAt: number | null;
};

/** A payment that is known to be for an order, or for a top-up, which has no drop. */
export type PaymentOf<Id extends PayableId> = Payment & {
  orderId: Id;
  drop: Id extends OrderId ? DropId : '';
};

export type PaymentStart = {
  orderId: PayableId;
  drop: DropId | '';
  provider: string;
  amount: number;
  currency: string;
  /** 1 when absent. A higher one only once the one before is known not to have captured money. */
  attempt?: number;
  /** For a payment that the buyer makes at the provider: until when, and when to poll first; ms. */
  payableUntil?: number | undefined;
  nextPollAt?: number | undefined;
};

/**
 * Our id of an attempt at its provider. The wallet's contains the order's id. Elsewhere it is 32
 * letters and digits, 120 bits of them a digest: WeChat Pay takes no more in `out_trade_no`.
 */
export function paymentReference(
  orderId: PayableId,
  attempt: number,
  provider = 'wallet',
): PaymentReference {
  const text =
    provider === 'wallet'
      ? `pay_${orderId}_${attempt}`
      : `fd${hash('sha256', `${orderId}\0${attempt}`, 'hex').slice(0, 30)}`;
  return text as PaymentReference;
}

/** The columns of a Payment, from the table `payments` under the alias p; look_at is the next poll. */
export const paymentColumns = `p.order_id as "orderId", p.drop_id as "drop", p.attempt, p.reference,
  p.provider, p.amount, p.currency, p.state, p.reason, p.amount_captured as "amountCaptured",
  p.amount_refunded as "amountRefunded", p.started_at as "startedAt",
  p.captured_at as "capturedAt", p.declined_at as "declinedAt", p.refunded_at as "refundedAt",
  p.refund_asked_at as "refundAskedAt", p.provider_reference as "providerReference", p.action,
  p.payable_until as "payableUntil", p.look_at as "nextPollAt", p.restock`;
