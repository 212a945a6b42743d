import { lastExpiresAt, type Order } from '../../domain/order.ts';
import type { DropTerms } from '../../drops/drop-terms.ts';
import type { Allowable } from '../../ledger/wallet/allowances.ts';
import type { Providers } from '../../payments/provider.ts';

const closingMsMost = 10_000;
const closingShare = 0.2;

/**
 * How long after its end a hold waits for its open payment to be closed, ms. Together with a sweep and
 * the relay it stays within the five seconds in which every order ends.
 */
export const closingGraceMs = 3_000;

type Payable = Pick<Order, 'method' | 'amount'>;

/**
 * Whether the engine charges an order by itself. Otherwise the buyer begins the payment, with what
 * only they have: a choice, a device, a payment password.
 */
export function engineStarts(
  { order, terms }: { order: Payable; terms: Pick<DropTerms, 'passwordAbove'> },
  providers: Providers,
): boolean {
  const provider = providers.get(order.method);
  // The method is no longer offered: the order waits for the buyer to choose another.
  if (!provider || provider.startedBy === 'buyer') return false;
  return !needsPassword(order, terms);
}

/**
 * An order as it counts towards what its wallet may pay without the password in a day; undefined where
 * the drop has no such bound. It is the same amount as for one order, so that splitting gains nothing.
 */
export function allowableOf(order: Order, terms: DropTerms): Allowable | undefined {
  const { id: orderId, buyer, amount } = order;
  const { currency, passwordAbove: limit } = terms;
  return limit === undefined ? undefined : { orderId, buyer, currency, amount, limit };
}

/** Whether this order can be paid from a wallet only with the payment password. */
export function needsPassword(
  { amount }: Pick<Order, 'amount'>,
  terms: Pick<DropTerms, 'passwordAbove'>,
): boolean {
  return terms.passwordAbove !== undefined && amount > terms.passwordAbove;
}

/**
 * Until when a buyer may pay elsewhere, ms: the hold less the time it usually takes to close the payment.
 * When closing takes longer, the hold waits for it: see hold-deferral.ts.
 */
export function payableUntil(
  order: Pick<Order, 'expiresAt' | 'extensionMs'>,
  { holdMs }: DropTerms,
): number {
  return lastExpiresAt(order) - Math.min(closingMsMost, Math.floor(holdMs * closingShare));
}
