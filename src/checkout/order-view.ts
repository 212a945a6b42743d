import type { Order } from '../domain/order.ts';
import type { OrderDetails } from '../domain/order-details.ts';
import type { DropTerms } from '../drops/drop-terms.ts';
import type { Receipt } from '../ledger/orders.ts';
import type { PaymentState } from '../ledger/payments/row.ts';
import type { Providers } from '../payments/provider.ts';
import { engineStarts } from '../settlement/settle/payment-rules.ts';

/** An order with what the ledger adds to its lane's record; times in ms since the epoch. */
export type OrderView = Order & {
  sku: string;
  currency: string;
  reservedAt?: number | undefined;
  paidAt?: number | undefined;
  releasedAt?: number | undefined;
  refundedAt?: number | undefined;
  payment?: { provider: string; state: PaymentState; reason?: string | undefined } | undefined;
  /** The amount refunded so far, in minor units; absent when it is 0. */
  amountRefunded?: number | undefined;
  /** What the buyer gave with the Buy. */
  details?: OrderDetails | undefined;
  /** What the order needs from its buyer; absent when it needs nothing. */
  awaits?: 'payment' | 'password' | undefined;
};

/**
 * The view of an order in the state that it is given in. Every answer about an order is made here from
 * its present state, and none from an earlier view of it. `recorded` is what the ledger has of it.
 */
export function viewOf(
  {
    order,
    terms,
    recorded,
    details,
  }: {
    order: Order;
    terms: DropTerms;
    recorded?: Receipt | undefined;
    /** Those that the lane still has. */
    details?: OrderDetails | undefined;
  },
  providers: Providers,
): OrderView {
  const payment = recorded?.payment ?? undefined;
  return {
    ...bare(order),
    sku: terms.skus[order.item] ?? '',
    currency: terms.currency,
    reservedAt: recorded?.reservedAt,
    paidAt: recorded?.paidAt ?? undefined,
    releasedAt: recorded?.releasedAt ?? undefined,
    refundedAt: recorded?.refundedAt ?? undefined,
    payment: payment && paymentView(payment),
    amountRefunded: payment?.amountRefunded || undefined,
    details: recorded?.details ?? details,
    awaits: payment?.state === 'captured' ? undefined : awaitsOf({ order, terms }, providers),
  };
}

const timeOf = {
  reserved: 'reservedAt',
  paid: 'paidAt',
  released: 'releasedAt',
  refunded: 'refundedAt',
} as const;

/** Whether the ledger has the state of a view already; it comes there a moment after its lane. */
export function isRecorded(view: OrderView): boolean {
  return view[timeOf[view.state]] !== undefined;
}

function awaitsOf(known: { order: Order; terms: DropTerms }, providers: Providers) {
  const { state, method } = known.order;
  if (state !== 'reserved' || engineStarts(known, providers)) return undefined;
  return providers.get(method)?.startedBy === 'engine' ? 'password' : 'payment';
}

/** An order's own fields: the ledger's rows have more. */
function bare(order: Order): Order {
  const { id, drop, buyer, state, item, quantity, amount, expiresAt, version, method, reason } =
    order;
  return { id, drop, buyer, state, item, quantity, amount, expiresAt, version, method, reason };
}

function paymentView(payment: NonNullable<Receipt['payment']>): NonNullable<OrderView['payment']> {
  const { provider, state, reason } = payment;
  return reason === '' ? { provider, state } : { provider, state, reason };
}
