import { inParts } from '../../batching/in-parts.ts';
import { type OrderRef, type PaymentReference, parseOrderId } from '../../domain/ids.ts';
import { byLane } from '../../inventory/by-lane.ts';
import type { Lanes } from '../../inventory/lanes.ts';
import type { Refunded } from '../../inventory/replies.ts';
import { isRefusedBySql } from '../../ledger/database/refused.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import { isWithBuyer } from '../../ledger/payments/refunds.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { Log } from '../../log.ts';
import type { Providers } from '../../payments/provider.ts';
import { isKept } from './batch.ts';
import {
  type OnRefund,
  openRefundCalls,
  type RefundCalls,
  type RefundStep,
} from './refund-calls.ts';

export type Refunds = RefundCalls & {
  /**
   * Refunds captured payments in full: writes the decision first, then asks the provider to return the
   * money, then puts the units of a paid order back on sale, unless another payment keeps it paid or
   * they are to be written off. A payment of which an earlier refund failed, and may have been made
   * after all, waits until its provider has told.
   * @returns the references of the payments that are refunded completely; the redrive finishes the
   *   others
   */
  giveBack(payments: readonly Payment[]): Promise<Set<PaymentReference>>;
};

/** A provider that does not tell what became of a failed refund is asked again after this time, ms. */
const askAgainMs = 5 * 60_000;

/** A refund may be started twice, in any two processes, at the same time: every step is idempotent. */
export function openRefunds(options: {
  lanes: Lanes;
  payments: Payments;
  providers: Providers;
  log: Log;
  onRefund?: OnRefund | undefined;
  onStep?: ((step: RefundStep) => void | Promise<void>) | undefined;
}): Refunds {
  const { lanes, payments, log, onStep } = options;
  const { returnAsked, check } = openRefundCalls(options);
  /** Payments of which a failed refund is in doubt, and when their provider is asked again. */
  const waitsUntil = new Map<PaymentReference, number>();

  /** Those of these payments that are refunded in full by now. */
  async function returned(wanted: readonly Payment[]): Promise<Payment[]> {
    const refunds = await payments.refundsOf(wanted.map(({ reference }) => reference));
    const sums = new Map<string, number>();
    for (const { payment, amount } of refunds.filter(isWithBuyer)) {
      sums.set(payment, (sums.get(payment) ?? 0) + amount);
    }
    return wanted.filter((one) => (sums.get(one.reference) ?? 0) >= one.amountCaptured);
  }

  /** A refusal by the lane means that the order was never paid there: it has no units to put back. */
  async function returnUnits(wanted: Payment[]): Promise<Set<PaymentReference>> {
    const done = new Set<PaymentReference>();
    const attempts = await payments.ofOrders(wanted.map(({ orderId }) => orderId));
    const paidFor = new Set(attempts.filter(isKept).map(({ orderId }) => orderId));
    const places = wanted.flatMap((payment) => {
      const place = parseOrderId(payment.orderId);
      return place && !paidFor.has(payment.orderId) ? [{ ...place, payment }] : [];
    });
    for (const { ref, places: group } of byLane(places)) {
      try {
        for (const { payment, status } of await moveUnits(ref, group)) {
          if (status !== 'unknown') done.add(payment.reference);
          else log.error({ order: payment.orderId }, 'refunded order is not in its lane');
        }
      } catch (error) {
        // The other lanes go on; the redrive comes back to this one.
        log.warn({ err: error, ...ref, orders: group.length }, 'units of a lane are not back yet');
      }
    }
    for (const { orderId, reference } of wanted) if (paidFor.has(orderId)) done.add(reference);
    return done;
  }

  /** Ends refunded orders of one lane: their units go back on sale, or out of the allotment. */
  async function moveUnits(
    ref: Pick<OrderRef, 'drop' | 'lane'>,
    group: readonly (OrderRef & { payment: Payment })[],
  ): Promise<{ payment: Payment; status: Refunded['status'] }[]> {
    const moved: { payment: Payment; status: Refunded['status'] }[] = [];
    for (const [restock, some] of Map.groupBy(group, ({ payment }) => payment.restock)) {
      const digests = some.map(({ digest }) => digest);
      const answers = restock
        ? await lanes.refund(ref, digests)
        : await lanes.writeOff(ref, digests);
      for (const [index, { payment }] of some.entries()) {
        moved.push({ payment, status: answers[index]?.status ?? 'unknown' });
      }
    }
    return moved;
  }

  return {
    returnAsked,
    check,

    async giveBack(asked) {
      const wanted = await withoutUnknown(asked);
      if (wanted.length === 0) return new Set();
      const references = wanted.map((payment) => payment.reference);
      const failed = await inParts(references, (part) => payments.askRefund(part), {
        isOfItem: isRefusedBySql,
      });
      for (const { item, error } of failed) {
        log.error({ err: error, payment: item }, 'refund cannot be recorded');
      }
      await onStep?.('asked');
      await returnAsked(wanted);
      return await returnUnits(await returned(await decided(wanted)));
    },
  };

  /** Without the payments that a refund decided now might refund twice. */
  async function withoutUnknown(asked: readonly Payment[]): Promise<readonly Payment[]> {
    const now = performance.now();
    for (const [reference, until] of waitsUntil) if (until <= now) waitsUntil.delete(reference);
    const wanted = asked.filter(({ reference, refundAskedAt }) => {
      return refundAskedAt === null && !waitsUntil.has(reference);
    });
    for (const payment of await check(wanted)) {
      log.warn({ payment }, 'refund waits until the outcome of an earlier one is known');
      waitsUntil.set(payment, now + askAgainMs);
    }
    return asked.filter(({ reference, refundAskedAt }) => {
      return refundAskedAt !== null || !waitsUntil.has(reference);
    });
  }

  /** The payments as they are now: who decided a refund first decided about the units, too. */
  async function decided(wanted: readonly Payment[]): Promise<Payment[]> {
    return await payments.find(wanted.map(({ reference }) => reference));
  }
}
