import {
  type DropId,
  isDropId,
  isOrderId,
  newId,
  type OrderId,
  orderId,
  orderRef,
  type PaymentReference,
  type TopUpId,
} from '../../src/domain/ids.ts';
import { paymentReference } from '../../src/ledger/payments/row.ts';
import { isTopUpId } from '../../src/ledger/wallet/topups.ts';

/** Texts that tests write down or get over HTTP, as the ids they are; each throws for another text. */
export const aDropId = (text = 'drop_aaaaaaaaaaaa'): DropId => checked(text, isDropId);
export const aReference = (text: unknown): PaymentReference => checked(text, isReference);
export const aTopUpId = (text: unknown): TopUpId => checked(text, isTopUpId);

/** Without a text, an order that no other test knows of. */
export const anOrderId = (text: unknown = orderId(orderRef(aDropId(), newId('buyer'), 'key', 1))) =>
  checked<OrderId>(text, isOrderId);

/** The reference of a payment that no other test knows of. */
export const newReference = () => paymentReference(anOrderId(), 1, 'stripe');

const isReference = (text: string): text is PaymentReference =>
  /^(fd[0-9a-f]{30}|pay_\S+)$/.test(text);

function checked<Id extends string>(text: unknown, is: (text: string) => text is Id): Id {
  if (typeof text !== 'string' || !is(text)) throw new Error(`no id of this kind: ${text}`);
  return text;
}
