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
  /** End of the hold as it is now, milliseconds since the epoch on Redis TIME. */
  expiresAt: number;
  /**
   * Set while the buyer has to pay: by how much beginning the payment extends the hold, ms; negative
   * once it has been extended by that. The ledger does not keep it.
   */
  extensionMs?: number | undefined;
  /** The hold was shortened by `extensionMs` after the answer to the Buy. The ledger does not keep it. */
  isShortened?: boolean | undefined;
  /**
   * Ending unpaid does not count against the buyer: the payment could not be begun or closed, or came too
   * late, or the engine left too little time for it. The ledger does not keep it.
   */
  isExcused?: boolean | undefined;
  /** 1 when reserved, plus one at each change: the later of two views wins. */
  version: number;
  method: PaymentMethod;
  /** Of the details that the buyer gave with the Buy; absent when there are none, and in the ledger. */
  fingerprint?: string | undefined;
  reason: ReleaseReason;
};

/** The end of the hold as the answer to the Buy gave it. */
export function firstExpiresAt({ expiresAt, extensionMs = 0, isShortened }: Hold): number {
  return expiresAt + (isShortened ? extensionMs : Math.min(0, extensionMs));
}

/** The end of the hold once the buyer has begun to pay. */
export function lastExpiresAt({ expiresAt, extensionMs = 0 }: Hold): number {
  return expiresAt + Math.max(0, extensionMs);
}

type Hold = Pick<Order, 'expiresAt' | 'extensionMs' | 'isShortened'>;
