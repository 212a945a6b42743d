import type { PaymentReference } from '../../src/domain/ids.ts';
import type { Charge, Refund } from '../../src/payments/provider.ts';

/** A charge with what tests do not care about filled in. */
export function aCharge(
  wanted: Pick<Charge, 'reference' | 'orderId' | 'buyer' | 'merchantId' | 'amount'> &
    Partial<Charge>,
): Charge {
  const startedAt = Date.now();
  return {
    currency: 'CNY',
    title: 'A phone',
    startedAt,
    expiresAt: startedAt + 300_000,
    wish: {},
    ...wanted,
  };
}

/** The first refund of a payment, of all of it unless another amount is named. */
export function aRefund(reference: PaymentReference, captured: number, amount = captured): Refund {
  const payment = { reference, startedAt: Date.now() };
  return {
    refundReference: `${reference}r1`,
    payment,
    amount,
    captured,
    currency: 'CNY',
    reason: '',
    askedAt: Date.now(),
  };
}
