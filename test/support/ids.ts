import {
  type DropId,
  isDropId,
  isOrderId,
  newId,
  type OrderId,
  orderId,
  orderRef,
  type TopUpId,
} from '../../src/domain/ids.ts';
import { isTopUpId } from '../../src/ledger/wallet/topups.ts';

/** Texts that tests write down or get over HTTP, as the ids they are; each throws for another text. */
export const aDropId = (text = 'drop_aaaaaaaaaaaa'): DropId => checked(text, isDropId);
export const aTopUpId = (text: unknown): TopUpId => checked(text, isTopUpId);

/** Without a text, an order that no other test knows of. */
export const anOrderId = (text: unknown = orderId(orderRef(aDropId(), newId('buyer'), 'key', 1))) =>
  checked<OrderId>(text, isOrderId);

function checked<Id extends string>(text: unknown, is: (text: string) => text is Id): Id {
  if (typeof text !== 'string' || !is(text)) throw new Error(`no id of this kind: ${text}`);
  return text;
}
