import { setTimeout } from 'node:timers/promises';
import { openBatcher } from '../batching/batcher.ts';
import { type BuyerId, type DropId, type OrderId, type OrderRef, placeOf } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { DropTerms } from '../drops/drop-terms.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Page } from '../ledger/cursor.ts';
import type { Orders, Receipt } from '../ledger/orders.ts';
import type { Payments } from '../ledger/payments/payments.ts';
import type { WalletAllowances } from '../ledger/wallet/allowances.ts';
import type { Log } from '../log.ts';
import type { Providers } from '../payments/provider.ts';
import { isKept, isOpen, type Settled } from '../settlement/settle/batch.ts';
import { engineStarts } from '../settlement/settle/payment-rules.ts';
import type { PaymentAttempts } from './attempts.ts';
import { isRecorded, type OrderView, viewOf } from './order-view.ts';

/** How many orders one statement reads, and how many may wait for the statement that is running. */
const receiptsLimits = { batchMax: 250, inFlightMax: 1, queueMax: 10_000 };

/** How often and in which intervals (ms) the ledger is asked for a change that it may not have yet. */
const recordedTries = 6;
const recordedPauseMs = 50;

export type OrderService = {
  /**
   * The order as its lane has it now, or as the ledger has it when its lane does not.
   * @throws QueueFull when too many reads wait for the ledger
   */
  read(id: OrderId): Promise<OrderView | undefined>;
  /**
   * The same for clients that poll: an order that the engine is about to settle is read from its lane
   * alone, without times and payment, so that a waiting crowd does not slow down the settlement.
   * @throws QueueFull as `read` does
   */
  peek(id: OrderId): Promise<OrderView | undefined>;
  /** A buyer's orders, newest first, each as `read` gives it. */
  listOf(
    buyer: BuyerId,
    options: { cursor?: string | undefined; limit: number },
  ): Promise<Page<OrderView>>;
  /**
   * The view of an order as its lane has just given it, with what the ledger has of it.
   * @throws QueueFull as `read` does
   */
  view(order: Order): Promise<OrderView | undefined>;
  /** The same without the ledger, for when that does not answer. */
  laneView(order: Order): Promise<OrderView | undefined>;
  /**
   * Closes the payment that the buyer began, if there is one, and releases the units of a reserved
   * order; `refused` when it is paid.
   */
  cancel(
    id: OrderId,
  ): Promise<{ kind: 'released' | 'already' | 'refused'; order: OrderView } | { kind: 'unknown' }>;
};

export function openOrderService(options: {
  lanes: Lanes;
  orders: Orders;
  payments: Payments;
  allowances: Pick<WalletAllowances, 'areRefused'>;
  paymentAttempts: PaymentAttempts;
  providers: Providers;
  settleOne(id: OrderId): Promise<Settled>;
  /** For drops that clients name, which may be made up. */
  lookUpTerms(drop: DropId): Promise<DropTerms | undefined>;
  redisNow(): Promise<number>;
  log: Log;
}): OrderService {
  const { lanes, orders, payments, allowances, paymentAttempts, providers, log } = options;
  const { settleOne, lookUpTerms, redisNow } = options;

  /**
   * The buyers of a drop read their orders all at once, and a statement costs the ledger about the same
   * for one order as for many: reads that arrive while one is running share the next statement.
   */
  const receipts = openBatcher<OrderId, Receipt | undefined>({
    run: orders.receipts,
    ...receiptsLimits,
  });

  const isRefused = openBatcher<OrderId, boolean>({
    run: allowances.areRefused,
    ...receiptsLimits,
  });

  /** The details of an order that the ledger does not have yet. */
  async function detailsInLane(seen: { order: Order; recorded?: Receipt | undefined }) {
    const { order, recorded } = seen;
    if (order.fingerprint === undefined || recorded?.details) return undefined;
    const place = placeOf(order.id);
    const [details] = await lanes.details(place, [place.digest]);
    // The ledger parks such an order, with an alarm: its buyer sees the rest of it.
    return details === 'unreadable' ? undefined : details;
  }

  /** The view of an order, which may await the password because of what its wallet has paid before. */
  async function shown(seen: Parameters<typeof viewOf>[0]): Promise<OrderView> {
    const view = viewOf({ ...seen, details: await detailsInLane(seen) }, providers);
    const { order, terms } = seen;
    const isSettling = order.state === 'reserved' && view.payment?.state !== 'captured';
    if (!isSettling || terms.passwordAbove === undefined) return view;
    if (!engineStarts({ order, terms }, providers)) return view;
    return (await isRefused.add(order.id)) ? { ...view, awaits: 'password' } : view;
  }

  async function find(place: OrderRef): Promise<Order | undefined> {
    const [order] = await lanes.find(place, [place.digest]);
    return order;
  }

  /** The terms of an order's drop; undefined when there is no such drop or it has no such lane. */
  async function termsAt({ drop, lane }: OrderRef): Promise<DropTerms | undefined> {
    const terms = await lookUpTerms(drop);
    return terms && lane < terms.lanes ? terms : undefined;
  }

  async function read(id: OrderId): Promise<OrderView | undefined> {
    const place = placeOf(id);
    const terms = await termsAt(place);
    if (!terms) return undefined;
    const [held, recorded] = await Promise.all([find(place), receipts.add(id)]);
    const order = held ?? recorded;
    return order && (await shown({ order, terms, recorded }));
  }

  async function view(order: Order): Promise<OrderView | undefined> {
    const [recorded, terms] = await Promise.all([receipts.add(order.id), lookUpTerms(order.drop)]);
    return terms && (await shown({ order, terms, recorded }));
  }

  async function laneView(order: Order): Promise<OrderView | undefined> {
    const terms = await lookUpTerms(order.drop);
    return terms && (await shown({ order, terms }));
  }

  /** The view of an order that has just changed, with its time if the ledger has it within moments. */
  async function changed(order: Order): Promise<OrderView | undefined> {
    let found = await view(order);
    for (let n = 1; n < recordedTries && found && !isRecorded(found); n += 1) {
      await setTimeout(recordedPauseMs);
      found = await view(order);
    }
    return found;
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
    view,
    laneView,

    async peek(id) {
      const place = placeOf(id);
      const terms = await termsAt(place);
      if (!terms) return undefined;
      const order = await find(place);
      const isSettling = order?.state === 'reserved' && engineStarts({ order, terms }, providers);
      const settling = isSettling && (await shown({ order, terms }));
      // Details that its lane has no more are in the ledger.
      if (settling && (settling.details || order.fingerprint === undefined)) return settling;
      const recorded = await receipts.add(id);
      const known = order ?? recorded;
      return known && (await shown({ order: known, terms, recorded }));
    },

    async listOf(buyer, page) {
      const { rows, ...rest } = await orders.ofBuyer(buyer, page);
      const views = await Promise.all(rows.map(({ id }) => read(id)));
      return { ...rest, rows: views.filter((view) => view !== undefined) };
    },

    async cancel(id) {
      const place = placeOf(id);
      const { digest } = place;
      if ((await find(place))?.state === 'reserved') await closePayment(id);
      const [answer] = await lanes.release(place, [{ digest, reason: 'cancelled' }]);
      if (!answer || answer.status === 'unknown') return { kind: 'unknown' };
      const order = await changed(answer.order);
      return order ? { kind: answer.status, order } : { kind: 'unknown' };
    },
  };
}
