import { type OrderRef, parseOrderId } from '../domain/ids.ts';
import { byLane, type Lanes } from '../inventory/lanes.ts';
import type { Payment, Payments } from '../ledger/payments.ts';
import type { PaymentProvider } from '../payments/provider.ts';
import type { Log } from './log.ts';

export type Refunds = {
  /**
   * Gives captured payments back: the decision is written first, then the provider returns the
   * money, then the lane takes the units of a paid order back. Gives the orders whose refund went
   * all the way; the others are carried on with by the sweeper.
   */
  giveBack(payments: readonly Payment[]): Promise<Set<string>>;
};

export type RefundStep = 'asked' | 'refunded';

/** Refunds may be begun twice, anywhere, at once: each step knows that it was taken before. */
export function openRefunds(options: {
  lanes: Lanes;
  payments: Payments;
  providers: ReadonlyMap<string, PaymentProvider>;
  log: Log;
  onStep?(step: RefundStep): void | Promise<void>;
}): Refunds {
  const { lanes, payments, providers, log, onStep } = options;

  /** The payments whose money is with the buyer now. */
  async function returnMoney(name: string, wanted: Payment[]): Promise<Payment[]> {
    const provider = providers.get(name);
    if (!provider) {
      log.error({ provider: name, payments: wanted.length }, 'no such provider to refund through');
      return [];
    }
    try {
      const outcomes = await provider.refund(
        wanted.map(({ reference, startedAt, amountCaptured, currency }) => ({
          refundReference: `${reference}r1`,
          payment: { reference, startedAt },
          ...{ amount: amountCaptured, captured: amountCaptured, currency, reason: '' },
        })),
      );
      const returned = outcomes.flatMap((outcome) => {
        if (outcome.kind !== 'refunded') return [];
        return [{ reference: outcome.refundReference.slice(0, -2), amount: outcome.amount }];
      });
      await onStep?.('refunded');
      await payments.record(
        returned.map(({ reference, amount }) => ({ reference, state: 'refunded', amount })),
      );
      for (const outcome of outcomes) {
        if (outcome.kind === 'failed') log.error({ ...outcome }, 'a refund cannot be made');
      }
      const done = new Set(returned.map((outcome) => outcome.reference));
      return wanted.filter((payment) => done.has(payment.reference));
    } catch (error) {
      log.warn({ err: error, provider: name, payments: wanted.length }, 'refunds are retried');
      return [];
    }
  }

  /** A refusal means that the order was never paid in its lane: no units to take back. */
  async function returnUnits(returned: Payment[]): Promise<Set<string>> {
    const done = new Set<string>();
    const places = returned.map((payment) => ({ ...placeOf(payment), payment }));
    for (const { ref, places: group } of byLane(places)) {
      const moved = await lanes.refund(
        ref,
        group.map((place) => place.digest),
      );
      for (const [index, { payment }] of group.entries()) {
        if (moved[index]?.status !== 'unknown') done.add(payment.orderId);
        else log.error({ order: payment.orderId }, 'a refunded order is not in its lane');
      }
    }
    return done;
  }

  return {
    async giveBack(wanted) {
      if (wanted.length === 0) return new Set();
      await payments.askRefund(wanted.map((payment) => payment.reference));
      await onStep?.('asked');
      const returned: Payment[] = [];
      for (const [name, group] of Map.groupBy(wanted, (payment) => payment.provider)) {
        returned.push(...(await returnMoney(name, group)));
      }
      return await returnUnits(returned);
    },
  };
}

function placeOf(payment: Payment): OrderRef {
  const place = parseOrderId(payment.orderId);
  if (!place) throw new Error(`bug: ${payment.orderId} is not an order id`);
  return place;
}
