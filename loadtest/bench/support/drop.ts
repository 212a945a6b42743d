import type { Drop } from '../../../src/domain/drop.ts';
import { type MerchantId, newDropId, orderRef } from '../../../src/domain/ids.ts';
import type { Reservation } from '../../../src/inventory/lanes.ts';

/** A live drop of one item, with more units than the bench will ask for unless it is told. */
export function benchDrop(merchantId: MerchantId, allotment = 10_000_000): Drop {
  const now = Date.now();
  return {
    id: newDropId(),
    merchantId,
    title: 'Bench',
    currency: 'CNY',
    startsAt: now - 60_000,
    endsAt: now + 3_600_000,
    holdMs: 3_600_000,
    lapsesMax: 3,
    lateCapture: 'retake',
    lanes: 1,
    version: 1,
    decision: 'live',
    items: [{ sku: 'phone', title: 'Phone', unitAmount: 199_900, allotment, perBuyer: 1 }],
  };
}

export function benchBuyer(n: number): string {
  return `u${10_000_000 + n}`;
}

/** Reservations of distinct buyers, numbered from `from`. */
export function benchReservations(drop: Drop, from: number, size: number): Reservation[] {
  return Array.from({ length: size }, (_, n) => {
    const buyer = benchBuyer(from + n);
    const { digest } = orderRef(drop.id, buyer, 'key', drop.lanes);
    return { digest, buyer, item: 0, quantity: 1, method: 'wallet', awaitsBuyer: false };
  });
}
