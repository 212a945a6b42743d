import { hash, randomBytes } from 'node:crypto';

const alphabet = 'abcdefghjkmnpqrstvwxyz0123456789'; // 32 letters, none that read alike
const codeLength = 12;
const dropPattern = /^drop_([a-z0-9]{12})$/;
const orderPattern = /^ord_([a-z0-9]{12})_(\d{1,2})_([A-Za-z0-9_-]{22})$/;

export const lanesMax = 64;

declare const kind: unique symbol;
/** A string of one kind: it is made where its form is known, and no other string stands in for it. */
type Id<Kind extends string> = string & { readonly [kind]: Kind };

export type MerchantId = Id<'merchant'>;
/**
 * What the identity service calls a buyer (`sub`). It has no form to check, so any text is taken for
 * one, but no id of another kind.
 */
export type BuyerId = string & { readonly [kind]?: 'buyer' };
export type DropId = Id<'drop'>;
export type OrderId = Id<'order'>;
export type TopUpId = Id<'top-up'>;
/** Our id of an attempt to pay: see paymentReference in ledger/payments/row.ts. */
export type PaymentReference = Id<'payment'>;

/** What a payment is for. */
export type PayableId = OrderId | TopUpId;

/** The place of a lane: every key of it carries the hash tag `{<drop code>:<lane>}`. */
export type LaneRef = { drop: DropId; lane: number };

/** The place of an order inside its lane. */
export type OrderRef = LaneRef & { digest: string };

function randomCode(): string {
  let code = '';
  for (const byte of randomBytes(codeLength)) code += alphabet[byte & 31];
  return code;
}

/** A fresh id such as `drop_k3v9q0xw2m1c` (60 random bits). */
export function newDropId(): DropId {
  return `drop_${randomCode()}` as DropId;
}

/** A fresh id such as `mer_k3v9q0xw2m1c`. */
export function newMerchantId(): MerchantId {
  return newId('mer') as MerchantId;
}

/** A fresh id for anything else, such as `buyer_…`. */
export function newId(prefix: string): string {
  return `${prefix}_${randomCode()}`;
}

export function isMerchantId(text: string): text is MerchantId {
  return /^mer_[a-z0-9]{12}$/.test(text);
}

export function isDropId(text: string): text is DropId {
  return dropPattern.test(text);
}

/** The part of a drop's id that its keys and its orders' ids carry. */
export function dropCode(drop: DropId): string {
  return drop.slice('drop_'.length);
}

/** A buyer's home lane: the same for every process, for as long as the drop has `lanes` lanes. */
export function homeLane(buyer: BuyerId, lanes: number): number {
  if (lanes === 1) return 0;
  return Number.parseInt(hash('sha256', buyer, 'hex').slice(0, 8), 16) % lanes;
}

/**
 * The order that a buyer's Idempotency-Key stands for in a drop: a 128-bit digest of the three.
 * The id is the idempotency record, so the same three always name the same order.
 */
export function orderRef(drop: DropId, buyer: BuyerId, key: string, lanes: number): OrderRef {
  const digest = hash('sha256', `${drop}\0${buyer}\0${key}`, 'base64url').slice(0, 22);
  return { drop, lane: homeLane(buyer, lanes), digest };
}

/** `ord_<drop code>_<lane>_<digest>`: any process finds the lane of an order from its id alone. */
export function orderId(ref: OrderRef): OrderId {
  return `ord_${dropCode(ref.drop)}_${ref.lane}_${ref.digest}` as OrderId;
}

export function isOrderId(text: string): text is OrderId {
  return parseOrderId(text) !== undefined;
}

/**
 * The place of an order.
 * @throws Error when the text is no order id after all
 */
export function placeOf(id: OrderId): OrderRef {
  const place = parseOrderId(id);
  if (!place) throw new Error(`bug: ${id} is not an order id`);
  return place;
}

/** The place an order id names, or undefined when the text is no order id. */
export function parseOrderId(text: string): OrderRef | undefined {
  const [, code, number, digest] = orderPattern.exec(text) ?? [];
  if (digest === undefined) return undefined;
  const lane = Number(number);
  if (lane >= lanesMax || String(lane) !== number) return undefined;
  return { drop: `drop_${code}` as DropId, lane, digest };
}
