import type { Drop, Item } from '../../src/domain/drop.ts';
import { newDropId, newMerchantId } from '../../src/domain/ids.ts';

/** A live drop with one item of ten units, open since a second ago; overrides say otherwise. */
export function aDrop(overrides: Partial<Drop> = {}): Drop {
  const now = Date.now();
  return {
    id: newDropId(),
    merchantId: newMerchantId(),
    title: 'A test drop',
    currency: 'CNY',
    startsAt: now - 1_000,
    endsAt: now + 3_600_000,
    holdMs: 300_000,
    lateCapture: 'retake',
    lanes: 1,
    version: 1,
    decision: 'live',
    items: [anItem()],
    ...overrides,
  };
}

export function anItem(overrides: Partial<Item> = {}): Item {
  return {
    sku: 'phone',
    title: 'A phone',
    unitAmount: 199_900,
    allotment: 10,
    perBuyer: 1,
    ...overrides,
  };
}
