import type { Drop } from '../../src/domain/drop.ts';
import { newDropId, newId, orderId, orderRef } from '../../src/domain/ids.ts';
import type { Order, OrderState } from '../../src/domain/order.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';

const day = 24 * 60 * 60 * 1000;

/** A draft of two items that no other test knows of, in the ledger with a merchant of its own. */
export async function createDrop(ledger: Ledger, change: Partial<Drop> = {}): Promise<Drop> {
  const { merchant } = await ledger.merchants.create({ name: 'Phone House' });
  const drop: Drop = {
    id: newDropId(),
    merchantId: merchant.id,
    title: 'Phone 2',
    currency: 'CNY',
    startsAt: Date.now(),
    endsAt: Date.now() + day,
    holdMs: 60_000,
    lateCapture: 'retake',
    lanes: 1,
    version: 0,
    decision: 'draft',
    items: [
      { sku: 'phone', title: 'Phone', unitAmount: 199_900, allotment: 50, perBuyer: 2 },
      { sku: 'case', title: 'Case "red", {soft}', unitAmount: 4_900, allotment: 10, perBuyer: 1 },
    ],
    ...change,
  };
  await ledger.drops.create(drop);
  return drop;
}

/** An order as a lane would tell of it; the same key is the same order. */
export function orderOf(
  drop: Drop,
  change: Partial<Order> & { key?: string; state?: OrderState } = {},
): Order {
  const { key = newId('key'), ...rest } = change;
  const buyer = rest.buyer ?? newId('buyer');
  return {
    id: orderId(orderRef(drop.id, buyer, key, drop.lanes)),
    drop: drop.id,
    buyer,
    state: 'reserved',
    item: 0,
    quantity: 1,
    amount: drop.items[0]?.unitAmount ?? 0,
    expiresAt: drop.startsAt + drop.holdMs,
    version: 1,
    method: 'wallet',
    reason: '',
    ...rest,
  };
}
