import type { Drop } from '../domain/drop.ts';
import type { BuyerId, DropId, OrderId } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { FieldFault, OrderDetails } from '../domain/order-details.ts';
import type { LimitScope } from './replies.ts';

/** A request to buy. The same drop, buyer and key always give the same order. */
export type Buy = {
  drop: DropId;
  buyer: BuyerId;
  key: string;
  sku: string;
  quantity: number;
  method: string;
  details?: OrderDetails | undefined;
};

export type Bought =
  | { status: 'reserved' | 'replayed'; order: Order; drop: Drop }
  | { status: 'sold_out'; available: number }
  | { status: 'all_held'; available: number; retryAfterMs: number }
  /** `lapses` holds of the buyer have ended unpaid, which is at least `limit`. */
  | { status: 'lapse_limit'; lapses: number; limit: number }
  /**
   * The buyer may have `limit` units of the item, or of all items together, as `scope` says; `holder` is
   * an order that keeps some.
   */
  | { status: 'buyer_limit'; limit: number; scope: LimitScope; holder: OrderId | undefined }
  | { status: 'not_open'; startsAt: number; retryAfterMs: number }
  /** The buyer has no appointment; the drop's window for making one ends at `until`. */
  | { status: 'no_appointment'; until: number }
  | { status: 'paused' | 'ended' | 'cancelled' | 'unknown_drop' | 'unknown_item' | 'reused' }
  /** This payment method is not offered for the drop. */
  | { status: 'not_offered' }
  /** What the buyer gave for the drop's fields is wrong or incomplete. */
  | { status: 'wrong_fields'; faults: FieldFault[] }
  /** The drop's lane has lost its data: nothing sells before it is rebuilt. */
  | { status: 'frozen'; retryAfterMs: number }
  /** Nothing was reserved: a queue is full, or Redis refused the call (OOM, READONLY, LOADING …). */
  | { status: 'overloaded'; retryAfterMs: number }
  /** Sent, but no answer came. `order` is the id to look up; the same key gives the result later. */
  | { status: 'outcome_unknown'; order: OrderId; retryAfterMs: number };

/** Why a Buy reserved nothing. */
export type Refused = Exclude<Bought, { status: 'reserved' | 'replayed' }>;
export type SoldOut = Extract<Bought, { status: 'sold_out' }>;
