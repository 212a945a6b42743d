import type { OrderView } from '../../checkout/order-view.ts';
import type { OrderService } from '../../checkout/orders.ts';
import {
  type BuyerId,
  type DropId,
  isDropId,
  isOrderId,
  type MerchantId,
  type OrderId,
} from '../../domain/ids.ts';
import type { Catalog, DropView } from '../../inventory/catalog.ts';
import type { Drops, StoredDrop } from '../../ledger/drops.ts';
import { Problem } from '../problems/problems.ts';

/**
 * The id of a drop that a path names.
 * @throws Problem unknown_drop when the text is not the id of a drop
 */
export function dropOf({ drop }: { drop: string }): DropId {
  if (!isDropId(drop)) throw new Problem('unknown_drop');
  return drop;
}

/**
 * The id of an order that a path names.
 * @throws Problem unknown_order when the text is not the id of an order
 */
export function orderOf({ order }: { order: string }): OrderId {
  if (!isOrderId(order)) throw new Problem('unknown_order');
  return order;
}

/**
 * The published drop that a path names, as this process has it in memory.
 * @throws Problem unknown_drop, or drop_frozen when its lanes have lost their data
 */
export async function publishedDrop(
  catalog: Pick<Catalog, 'get' | 'isLost'>,
  params: { drop: string },
): Promise<DropView> {
  const drop = dropOf(params);
  const view = await catalog.get(drop);
  if (!view) throw new Problem(catalog.isLost(drop) ? 'drop_frozen' : 'unknown_drop');
  return view;
}

/**
 * The drop that a path names, if it is the merchant's.
 * @throws Problem unknown_drop, also for another merchant's: what others have stays hidden
 */
export async function ownDrop(
  drops: Pick<Drops, 'getOwned'>,
  request: { merchantId: MerchantId; params: { drop: string } },
): Promise<StoredDrop> {
  const drop = await drops.getOwned(request.merchantId, dropOf(request.params));
  if (!drop) throw new Problem('unknown_drop');
  return drop;
}

/**
 * The order that a path names, if it is the buyer's.
 * @throws Problem unknown_order, also for another buyer's
 */
export async function ownOrder(
  read: OrderService['read'],
  request: { buyer: BuyerId; params: { order: string } },
): Promise<OrderView> {
  const view = await read(orderOf(request.params));
  if (view?.buyer !== request.buyer) throw new Problem('unknown_order');
  return view;
}
