import type { LaneRef, OrderId, OrderRef } from '../../domain/ids.ts';
import { placeOf } from '../../domain/ids.ts';
import type { Order } from '../../domain/order.ts';
import type { DropTerms } from '../../drops/drop-terms.ts';
import { byLane } from '../../inventory/lanes.ts';
import type { Payment } from '../../ledger/payments/row.ts';

/** What settling came to for one order. */
export type Settled =
  /** Over: the lane has the order in this state. */
  | { kind: 'paid' | 'released' | 'refunded' }
  /** The hold has ended and nothing was charged: the sweeper of holds gives the units back. */
  | { kind: 'lapsed' }
  /** For the buyer, or for a provider: look-ups and refunds that are decided go on by themselves. */
  | { kind: 'waiting' }
  /** Not known yet, or not all the way: to be settled again. */
  | { kind: 'later'; why: string }
  /** The lane knows no such order. */
  | { kind: 'lost' };

/** An order as its lane had it when the settling began. */
export type Seen = {
  order: Order;
  terms: DropTerms;
  /** Reserved, and its hold has not ended. */
  isHeld: boolean;
  now: number;
};

/** One order on its way through a batch. */
export type Case = {
  id: OrderId;
  place: OrderRef;
  seen?: Seen;
  /** Every attempt to be paid for it, first to last. */
  attempts: Payment[];
  /** The last attempt was begun just now by this batch: nobody can have charged it yet. */
  fresh: boolean;
  settled?: Settled;
};

export type SeenCase = Case & { seen: Seen };

export function newCase(id: OrderId): Case {
  return { id, place: placeOf(id), attempts: [], fresh: false };
}

export const digestOf = (one: Case) => one.place.digest;

export const isOpen = ({ state }: Payment) => state === 'started' || state === 'unknown';

/** Money that is here, and that nobody has decided to give back. */
export const isKept = (payment: Payment) => {
  return payment.state === 'captured' && payment.refundAskedAt === null;
};

/**
 * Money first captured first: it is what sold the order, and what parts were given back of. What came
 * to light later, of whichever attempt, is a payment too many.
 */
export function inOrderOfCapture(kept: readonly Payment[]): Payment[] {
  const at = ({ capturedAt }: Payment) => capturedAt ?? Number.MAX_SAFE_INTEGER;
  return kept.toSorted((a, b) => at(a) - at(b));
}

/** Visits the cases lane by lane, all lanes at once. */
export async function eachLane<T extends Case>(
  cases: readonly T[],
  visit: (ref: LaneRef, group: T[]) => Promise<void>,
): Promise<void> {
  const groups = byLane(cases.map((one) => ({ ...one.place, one })));
  const visits = groups.map(({ ref, places }) => {
    return visit(
      ref,
      places.map((place) => place.one),
    );
  });
  await Promise.all(visits);
}
