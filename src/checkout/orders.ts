import { openBatcher } from '../batching/batcher.ts';
import { type DropId, type OrderId, type OrderRef, placeOf } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { DropTerms } from '../drops/drop-terms.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Orders, Receipt } from '../ledger/orders.ts';
import type { Payments } from '../ledger/payments/payments.ts';
import type { PaymentState } from '../ledger/payments/row.ts';
import type { Log } from '../log.ts';
import type { Providers } from '../payments/provider.ts';
import { isKept, isOpen, type Settled } from '../settlement/settle/batch.ts';
import { engineStarts } from '../settlement/settle/payment-rules.ts';
import type { PaymentAttempts } from './attempts.ts';

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
  /** What the order needs from its buyer; absent when it needs nothing. */
  awaits?: 'payment' | 'password' | undefined;
};

/** How many orders one statement reads, and how many may wait for the statement that is running. */
const receiptsLimits = { batchMax: 250, inFlightMax: 1, queueMax: 10_000 };

export type OrderService = {
  /**
   * The order as its lane has it now, or as the ledger has it when its lane does not.
   * @throws QueueFull when too many reads wait for the ledger
   */
  read(id: OrderId): Promise<OrderView | undefined>;
  /**
   * The same for clients that poll: a reserved order is read from its lane alone, without times and
   * payment, so that a waiting crowd does not slow down the settlement.
   * @throws QueueFull as `read` does
   */
  peek(id: OrderId): Promise<OrderView | undefined>;
  /**
   * Closes the payment that the buyer began, if there is one, and releases the units of a reserved
   * order; `refused` when it is paid.
   */
  cancel(
    id: OrderId,
  ): Promise<{ kind: 'released' | 'already' | 'refused'; order: Order } | { kind: 'unknown' }>;
};

export function openOrderService(options: {
  lanes: Lanes;
  orders: Orders;
  payments: Payments;
  paymentAttempts: PaymentAttempts;
  providers: Providers;
  settleOne(id: OrderId): Promise<Settled>;
  termsOf(drop: DropId): Promise<DropTerms | undefined>;
  redisNow(): Promise<number>;
  log: Log;
}): OrderService {
  const { lanes, orders, payments, paymentAttempts, providers, log } = options;
  const { settleOne, termsOf, redisNow } = options;

  /**
   * The buyers of a drop read their orders all at once, and a statement costs the ledger about the same
   * for one order as for many: reads that arrive while one is running share the next statement.
   */
  const receipts = openBatcher<OrderId, Receipt | undefined>({
    run: orders.receipts,
    ...receiptsLimits,
  });

  async function find(place: OrderRef): Promise<Order | undefined> {
    const [order] = await lanes.find(place, [place.digest]);
    return order;
  }

  async function read(id: OrderId): Promise<OrderView | undefined> {
    const place = placeOf(id);
    const [held, recorded, terms] = await Promise.all([
      find(place),
      receipts.add(id),
      termsOf(place.drop),
    ]);
    const order = held ?? recorded;
    if (!order || !terms) return undefined;
    const view = viewOf(order, terms);
    for (const name of timeNames) {
      const at = recorded?.[name];
      if (typeof at === 'number') view[name] = at;
    }
    if (recorded?.payment) view.payment = paymentView(recorded.payment);
    if (recorded?.payment?.amountRefunded) view.amountRefunded = recorded.payment.amountRefunded;
    return view;
  }

  function viewOf(order: Order, terms: DropTerms): OrderView {
    const view = { ...bare(order), sku: terms.skus[order.item] ?? '', currency: terms.currency };
    if (order.state !== 'reserved' || engineStarts({ order, terms }, providers)) return view;
    const isWallet = providers.get(order.method)?.startedBy === 'engine';
    return { ...view, awaits: isWallet ? 'password' : 'payment' };
  }

  /**
   * Closes the payment that the buyer began and that is open, and settles the order when it turns out
   * to be paid: by that payment, or by one that the ledger has as captured and the lane has not yet.
   */
  async function closePayment(id: OrderId): Promise<void> {
    try {
      const begun = (await payments.ofOrders([id])).filter(({ provider }) => {
        return providers.get(provider)?.startedBy === 'buyer';
      });
      const open = begun.find(isOpen);
      const ending = open && (await paymentAttempts.end(open, await redisNow()));
      if (ending === 'captured' || begun.some(isKept)) await settleOne(id);
    } catch (error) {
      // The units are released all the same: a later capture is refunded.
      log.warn({ err: error, order: id }, 'closing the payment of a cancelled order failed');
    }
  }

  return {
    read,

    async peek(id) {
      const place = placeOf(id);
      const [order, terms] = await Promise.all([find(place), termsOf(place.drop)]);
      return order?.state === 'reserved' && terms ? viewOf(order, terms) : await read(id);
    },

    async cancel(id) {
      const place = placeOf(id);
      const { digest } = place;
      if ((await find(place))?.state === 'reserved') await closePayment(id);
      const [answer] = await lanes.release(place, [{ digest, reason: 'cancelled' }]);
      if (!answer || answer.status === 'unknown') return { kind: 'unknown' };
      return { kind: answer.status, order: answer.order };
    },
  };
}

const timeNames = ['reservedAt', 'paidAt', 'releasedAt', 'refundedAt'] as const;

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
