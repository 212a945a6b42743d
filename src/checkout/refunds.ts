import { hash } from 'node:crypto';
import { type MerchantId, type OrderId, type OrderRef, placeOf } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import { required } from '../domain/required.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Drops } from '../ledger/drops.ts';
import type { Payments } from '../ledger/payments/payments.ts';
import {
  amountOf,
  isUnpaid,
  isWithBuyer,
  type PartialRefund,
  type Refund,
  repeated,
} from '../ledger/payments/refunds.ts';
import type { Payment } from '../ledger/payments/row.ts';
import { inOrderOfCapture, isKept } from '../settlement/settle/batch.ts';
import type { Refunds } from '../settlement/settle/refunds.ts';

export type Refunding =
  /** Decided and stored, so it happens despite any crash. `isDone` once the money is with the buyer. */
  { kind: 'asked'; order: Order; refund: Refund | undefined; isDone: boolean } | RefundRefusal;

export type RefundRefusal =
  /** The order is not paid. */
  | { kind: 'refused'; order: Order }
  /** The amount is more than `refundable`, in minor units. */
  | { kind: 'exceeds'; refundable: number }
  /** The key belongs to another refund. */
  | { kind: 'reused' }
  /** An earlier refund failed, and the provider does not tell whether it was made after all. */
  | { kind: 'unsure' }
  | { kind: 'unknown' };

export type RefundPart = {
  merchantId: MerchantId;
  /** In minor units. */
  amount: number;
  /** The merchant's Idempotency-Key: one key of one merchant is one refund. */
  key: string;
  reason: string;
  /** With the last part: whether the units go back on sale. */
  restock?: boolean;
};

export type RefundService = {
  /**
   * Refunds the rest of a paid order's money, and then puts its units back on sale, unless `restock` is
   * false. A repeat changes nothing, except that a refund which the provider had refused for good or
   * taken back is requested once more.
   */
  refund(id: OrderId, reason: string, how?: { restock: boolean }): Promise<Refunding>;
  /** Refunds a part, once per key. With the last part, the units go back on sale. */
  refundPart(id: OrderId, part: RefundPart): Promise<Refunding>;
};

/** Refunds that merchants request. */
export function openRefundService(options: {
  lanes: Lanes;
  drops: Drops;
  payments: Payments;
  refunds: Refunds;
}): RefundService {
  const { lanes, drops, payments, refunds } = options;

  async function find(place: OrderRef): Promise<Order | undefined> {
    const [order] = await lanes.find(place, [place.digest]);
    return order;
  }

  /**
   * A paid order and its captured payments. Its lane is about to change, so its drop is made active
   * again.
   */
  async function open(id: OrderId) {
    const place = placeOf(id);
    const order = await find(place);
    if (!order) return { refusal: { kind: 'unknown' } as const };
    const captured = (await payments.ofOrders([id])).filter(wasCaptured);
    const wasPaid = order.state === 'paid' || order.state === 'refunded';
    if (!wasPaid || captured.length === 0) return { refusal: { kind: 'refused', order } as const };
    await drops.revive(place.drop);
    return { place, order, captured };
  }

  /**
   * Whether a refund of these payments may return money twice: what is left to refund depends on refunds
   * that may have been taken back, or made after all. One that moves no money is not in doubt.
   * @param key of a partial refund: one that was made or is under way is only repeated
   * @returns also the payments in doubt, of which nothing is decided anew however the answer is, and the
   *   refund that has the key
   */
  async function doubtsOf(captured: readonly Payment[], key?: string) {
    const unsure = await refunds.check(captured);
    const known = await payments.refundsOf(captured.map(({ reference }) => reference));
    const earlier = known.find((refund) => key !== undefined && refund.key === key);
    const isLeft = captured.some(({ reference, amountCaptured }) => {
      const own = known.filter(({ payment }) => payment === reference);
      return unsure.has(reference) && amountOf(own) < amountCaptured;
    });
    return { unsure, earlier, isUnsure: isLeft && (!earlier || isUnpaid(earlier)) };
  }

  return {
    async refund(id, reason, { restock } = { restock: true }) {
      const opened = await open(id);
      if (opened.refusal) return opened.refusal;
      const { place, order, captured } = opened;
      const { unsure, isUnsure } = await doubtsOf(captured);
      if (isUnsure) return { kind: 'unsure' };
      const references = captured.map(({ reference }) => reference);
      const sure = references.filter((reference) => !unsure.has(reference));
      await payments.askRefund(sure, { again: true, reason, restock });
      const done = await refunds.giveBack(await payments.find(references));
      const made = await payments.refundsOf(references);
      const isDone = references.every((reference) => done.has(reference));
      const refund = made.findLast((one) => !isUnpaid(one)) ?? made.at(-1);
      return { kind: 'asked', order: (await find(place)) ?? order, refund, isDone };
    },

    async refundPart(id, { merchantId, amount, reason, restock = true, ...part }) {
      const key = refundKey(merchantId, part.key);
      const opened = await open(id);
      if (opened.refusal) return opened.refusal;
      const { place, order, captured } = opened;
      const { unsure, earlier, isUnsure } = await doubtsOf(captured, key);
      if (isUnsure) return { kind: 'unsure' };
      const payment =
        captured.find(({ reference }) => reference === earlier?.payment) ??
        inOrderOfCapture(captured.filter(isKept))[0] ??
        required(captured[0], 'captured payment');
      const wanted = { payment: payment.reference, amount, key, reason, restock };
      const asked = unsure.has(payment.reference)
        ? known(earlier, amount)
        : await payments.askPartialRefund({ ...wanted, isPaid: order.state === 'paid' });
      if (asked.kind === 'exceeds' || asked.kind === 'reused') return asked;
      const [latest = payment] = await payments.find([payment.reference]);
      // After the last part the payment counts as refunded in full, and the units go back too.
      if (latest.refundAskedAt === null) await refunds.returnAsked([latest]);
      else await refunds.giveBack([latest]);
      const made = await payments.refundsOf([payment.reference]);
      const refund =
        made.find(({ reference }) => reference === asked.refund.reference) ?? asked.refund;
      const isDone = isWithBuyer(refund);
      return { kind: 'asked', order: (await find(place)) ?? order, refund, isDone };
    },
  };
}

/** The answer about a part of a payment in doubt, of which nothing is left. */
function known(earlier: Refund | undefined, amount: number): PartialRefund {
  return earlier ? repeated(earlier, amount) : { kind: 'exceeds', refundable: 0 };
}

/** The digest keeps callers' text out of the ledger. */
function refundKey(merchantId: MerchantId, key: string): string {
  return hash('sha256', `${merchantId}\0${key}`, 'base64url');
}

const wasCaptured = ({ state }: Payment) => state === 'captured' || state === 'refunded';
