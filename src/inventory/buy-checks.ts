import type { Drop } from '../domain/drop.ts';
import type { Order } from '../domain/order.ts';
import { faultsOfFields, type OrderDetails } from '../domain/order-details.ts';
import type { Refused } from './buy.ts';
import type { Reservation } from './lanes.ts';
import type { Reserved } from './replies.ts';

/** Refuses what a buyer gives for the drop's fields when it is wrong or incomplete. */
export function refuseFields(drop: Drop, details: OrderDetails | undefined): Refused | undefined {
  if (!drop.fields && !details?.fields) return undefined;
  const faults = faultsOfFields(drop.fields, details?.fields);
  return faults.length > 0 ? { status: 'wrong_fields', faults } : undefined;
}

/** Whether a known order is what the same key asks for now. */
export function isSame(order: Order, { item, quantity, method, details }: Reservation): boolean {
  const isSameOrder = order.item === item && order.quantity === quantity && order.method === method;
  return isSameOrder && order.fingerprint === details?.fingerprint;
}

/**
 * Whether a drop in memory has the limit for which its lane refused a Buy: an edit right before the
 * opening may have set it since. A drop that is open is not edited, so the lane still has it.
 */
export function isLimitKnown({ perBuyer, lapsesMax }: Drop, reserved: Reserved): boolean {
  if (reserved.status === 'lapse_limit') return lapsesMax !== undefined;
  if (reserved.status !== 'buyer_limit' || reserved.scope === 'item') return true;
  return perBuyer !== undefined;
}
