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
import { isOpen, type Settled } from '../settlement/settle/batch.ts';
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
  /** What of the payment has been given back by now, in minor units; absent where nothing was. */
  amountRefunded?: number | undefined;
  /** What is waited for, when it is the buyer's turn. */
  awaits?: 'payment' | 'password' | undefined;
};

/** Reads of the ledger that go together, and how many may wait for the one under way. */
const receiptsLimits = { batchMax: 250, inFlightMax: 1, queueMax: 10_000 };

export type OrderService = {
  /**
   * The order as its lane has it now; as the ledger has it where no lane does.
   * @throws QueueFull when too many wait for the ledger
   */
  read(id: OrderId): Promise<OrderView | undefined>;
  /**
   * The same for those who ask again and again: a reserved order is told from its lane alone, without
   * times and payment, so that a crowd that waits does not stand in the way of the settlement.
   */
  peek(id: OrderId): Promise<OrderView | undefined>;
  /**
   * Gives the units of a reserved order back, having closed a payment that its buyer began; `refused`
   * when it is paid.
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
   * A sold-out crowd asks for its orders all at once, and each statement costs the ledger about the
   * same: what is asked for while one is under way goes into the next.
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

  /** Closes what the buyer could still pay; true when they have paid already. */
  async function closeOpen(id: OrderId): Promise<boolean> {
    try {
      const open = (await payments.ofOrders([id])).find(isOpen);
      if (!open || providers.get(open.provider)?.startedBy !== 'buyer') return false;
      if ((await paymentAttempts.end(open, await redisNow())) !== 'captured') return false;
      return (await settleOne(id)).kind === 'paid';
    } catch (error) {
      // The units are given back all the same: money that still comes is returned.
      log.warn({ err: error, order: id }, 'an order is cancelled and its payment not closed yet');
      return false;
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
      if ((await find(place))?.state === 'reserved') await closeOpen(id);
      const [answer] = await lanes.release(place, [{ digest, reason: 'cancelled' }]);
      if (!answer || answer.status === 'unknown') return { kind: 'unknown' };
      return { kind: answer.status, order: answer.order };
    },
  };
}

const timeNames = ['reservedAt', 'paidAt', 'releasedAt', 'refundedAt'] as const;

/** Only what an order is: the ledger's rows carry more. */
function bare(order: Order): Order {
  const { id, drop, buyer, state, item, quantity, amount, expiresAt, version, method, reason } =
    order;
  return { id, drop, buyer, state, item, quantity, amount, expiresAt, version, method, reason };
}

function paymentView(payment: NonNullable<Receipt['payment']>): NonNullable<OrderView['payment']> {
  const { provider, state, reason } = payment;
  return reason === '' ? { provider, state } : { provider, state, reason };
}
