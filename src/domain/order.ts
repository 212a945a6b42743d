import type { BuyerId, DropId, OrderId } from './ids.ts';

export const orderStates = ['reserved', 'paid', 'released', 'refunded'] as const;
export type OrderState = (typeof orderStates)[number];

/** Why an order was released; '' while it is not. The words a buyer can read are the http layer's. */
export const releaseReasons = [
  '',
  'expired',
  'cancelled',
  'drop_cancelled',
  'insufficient_funds',
  'declined',
] as const;
export type ReleaseReason = (typeof releaseReasons)[number];

/** All payment methods. An engine offers those that it is configured for. */
export const paymentMethods = ['wallet', 'stripe', 'alipay', 'wechat_pay'] as const;
export type PaymentMethod = string;

/** An order as its lane keeps it. */
export type Order = {
  id: OrderId;
  drop: DropId;
  buyer: BuyerId;
  state: OrderState;
  /** Position of the item in the drop's list. */
  item: number;
  quantity: number;
  /** Price of the whole order in minor units. */
  amount: number;
  /** End of the hold, milliseconds since the epoch on Redis TIME. */
  expiresAt: number;
  /** 1 when reserved, plus one at each change of state: the later of two views wins. */
  version: number;
  method: PaymentMethod;
  reason: ReleaseReason;
};
