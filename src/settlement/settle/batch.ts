import { type LaneRef, type OrderId, type OrderRef, placeOf } from '../../domain/ids.ts';
import type { Order } from '../../domain/order.ts';
import type { DropTerms } from '../../drops/drop-terms.ts';
import { byLane } from '../../inventory/by-lane.ts';
import type { Payment, PaymentStart } from '../../ledger/payments/row.ts';

/** The result of settling one order. */
export type Settled =
  /** The lane has the order in this final state. */
  | { kind: 'paid' | 'released' | 'refunded' }
  /** The hold has ended and nothing was charged: the hold sweeper releases it. */
  | { kind: 'lapsed' }
  /** Waits for the buyer, a provider or a refund: polling or the redrive settles it again. */
  | { kind: 'waiting' }
  /** Unknown so far, or done in part: the job is retried. */
  | { kind: 'later'; why: string }
  /** The lane knows no such order. */
  | { kind: 'lost' };

/**
 * An order of a batch. Each stage of settling gives a new value with what it has found out:
 * SettlementItem, Seen, Begun, Recorded, Decided (decide.ts), Applied.
 */
export type SettlementItem = { id: OrderId; place: OrderRef };

/** An item with the order as its lane had it when settling began. */
export type Seen = SettlementItem & {
  order: Order;
  terms: DropTerms;
  /** Redis' clock at that moment, ms. */
  now: number;
  /** Reserved, and its hold had not ended. */
  isHeld: boolean;
};

/** An item with all attempts to pay for its order, first to last. */
export type Begun = Seen & {
  attempts: readonly Payment[];
  /** This batch has just begun the last attempt, so nobody can have charged it yet. */
  isFresh: boolean;
};

/** An item whose attempts include the providers' answers, as they are in the ledger now. */
export type Recorded = Begun & {
  /** The answers ended a payment that its buyer had begun. */
  hasEnded: boolean;
};

export function settlementItem(id: OrderId): SettlementItem {
  return { id, place: placeOf(id) };
}

/** A payment of an order that the engine charges by itself. */
export function paymentStart({ order, terms }: Seen): PaymentStart {
  const { id, drop, amount, method } = order;
  return { orderId: id, drop, amount, currency: terms.currency, provider: method };
}

export const isOpen = ({ state }: Payment) => state === 'started' || state === 'unknown';

/** Captured, and no refund is decided. */
export const isKept = (payment: Payment) => {
  return payment.state === 'captured' && payment.refundAskedAt === null;
};

/**
 * Sorts by time of capture. The payment captured first sold the order, and partial refunds are taken
 * from it; a capture that became known later, of whichever attempt, is refunded.
 */
export function inOrderOfCapture(kept: readonly Payment[]): Payment[] {
  const at = ({ capturedAt }: Payment) => capturedAt ?? Number.MAX_SAFE_INTEGER;
  return kept.toSorted((a, b) => at(a) - at(b));
}

/** Calls `visit` for the items of each lane, all lanes at once, and joins the results. */
export async function eachLane<T extends SettlementItem, R>(
  items: readonly T[],
  visit: (ref: LaneRef, group: T[]) => Promise<R[]>,
): Promise<R[]> {
  const groups = byLane(items.map((item) => ({ ...item.place, item })));
  const visits = groups.map(({ ref, places }) => {
    return visit(
      ref,
      places.map(({ item }) => item),
    );
  });
  return (await Promise.all(visits)).flat();
}
