import { type OrderRef, type PaymentReference, parseOrderId } from '../../domain/ids.ts';
import { found } from '../../domain/required.ts';
import { byLane, type Lanes } from '../../inventory/lanes.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import type { Refund, RefundResult } from '../../ledger/payments/refunds.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { Log } from '../../log.ts';
import type { Providers, RefundOutcome } from '../../payments/provider.ts';
import { isKept } from './batch.ts';
import { refOf } from './provider-calls.ts';

export type Refunds = {
  /**
   * Refunds captured payments in full: writes the decision first, then asks the provider to return the
   * money, then puts the units of a paid order back on sale, unless another payment keeps it paid.
   * @returns the references of the payments that are refunded completely; the redrive finishes the
   *   others
   */
  giveBack(payments: readonly Payment[]): Promise<Set<PaymentReference>>;
  /** Asks the providers for the refunds decided for these payments. Moves no units. */
  returnAsked(payments: readonly Payment[]): Promise<void>;
};

export type RefundStep = 'asked' | 'refunded';

export type OnRefund = (provider: string, what: 'done' | 'failed', by: number) => void;

/** A refund may be started twice, in any two processes, at the same time: every step is idempotent. */
export function openRefunds(options: {
  lanes: Lanes;
  payments: Payments;
  providers: Providers;
  log: Log;
  onRefund?: OnRefund | undefined;
  onStep?: ((step: RefundStep) => void | Promise<void>) | undefined;
}): Refunds {
  const { lanes, payments, providers, log, onRefund, onStep } = options;

  async function returnAsked(wanted: readonly Payment[]): Promise<void> {
    for (const [name, group] of Map.groupBy(wanted, (payment) => payment.provider)) {
      const byReference = new Map(group.map((payment) => [payment.reference, payment]));
      const asked = (await payments.refundsOf([...byReference.keys()])).filter(isUnderWay);
      if (asked.length > 0) await returnThrough(name, asked, byReference);
    }
  }

  async function returnThrough(
    name: string,
    asked: Refund[],
    byReference: Map<PaymentReference, Payment>,
  ): Promise<void> {
    const provider = providers.get(name);
    if (!provider) {
      log.error({ provider: name, refunds: asked.length }, 'refunds of an unknown provider');
      return;
    }
    try {
      const outcomes = await provider.refund(
        asked.map(({ reference, payment, amount, reason }) => {
          const paid = found(byReference, payment, 'payment to refund');
          const { amountCaptured: captured, currency } = paid;
          return {
            refundReference: reference,
            payment: refOf(paid),
            amount,
            captured,
            currency,
            reason,
          };
        }),
      );
      await onStep?.('refunded');
      await payments.recordRefunds(outcomes.flatMap(factOf));
      for (const outcome of outcomes) {
        if (outcome.kind === 'failed') {
          log.error(
            { provider: name, ...outcome },
            'refund refused for good by the provider: an operator has to act',
          );
        }
      }
      const counts = (kind: string) => outcomes.filter((outcome) => outcome.kind === kind).length;
      onRefund?.(name, 'done', counts('refunded'));
      onRefund?.(name, 'failed', counts('failed'));
    } catch (error) {
      log.warn(
        { err: error, provider: name, refunds: asked.length },
        'refund call failed: it is retried',
      );
    }
  }

  /** Those of these payments that are refunded in full by now. */
  async function returned(wanted: readonly Payment[]): Promise<Payment[]> {
    const refunds = await payments.refundsOf(wanted.map(({ reference }) => reference));
    const sums = new Map<string, number>();
    for (const { payment, state, amount } of refunds) {
      if (state === 'done') sums.set(payment, (sums.get(payment) ?? 0) + amount);
    }
    return wanted.filter((one) => (sums.get(one.reference) ?? 0) >= one.amountCaptured);
  }

  /** A refusal by the lane means that the order was never paid there: it has no units to put back. */
  async function returnUnits(wanted: Payment[]): Promise<Set<PaymentReference>> {
    const done = new Set<PaymentReference>();
    const attempts = await payments.ofOrders(wanted.map(({ orderId }) => orderId));
    const paidFor = new Set(attempts.filter(isKept).map(({ orderId }) => orderId));
    const places = wanted.map((payment) => ({ ...placeOf(payment), payment }));
    for (const { ref, places: group } of byLane(places)) {
      const free = group.filter(({ payment }) => !paidFor.has(payment.orderId));
      if (free.length === 0) continue;
      const moved = await lanes.refund(
        ref,
        free.map((place) => place.digest),
      );
      for (const [index, { payment }] of free.entries()) {
        if (moved[index]?.status !== 'unknown') done.add(payment.reference);
        else log.error({ order: payment.orderId }, 'refunded order is not in its lane');
      }
    }
    for (const { orderId, reference } of wanted) if (paidFor.has(orderId)) done.add(reference);
    return done;
  }

  return {
    returnAsked,

    async giveBack(wanted) {
      if (wanted.length === 0) return new Set();
      await payments.askRefund(wanted.map((payment) => payment.reference));
      await onStep?.('asked');
      await returnAsked(wanted);
      return await returnUnits(await returned(wanted));
    },
  };
}

const isUnderWay = ({ state }: Refund) => state === 'asked' || state === 'pending';

function factOf(outcome: RefundOutcome): RefundResult[] {
  const { refundReference: reference, providerReference } = outcome;
  switch (outcome.kind) {
    case 'refunded':
      return [{ reference, state: 'done', providerReference }];
    case 'pending':
      return [{ reference, state: 'pending', providerReference }];
    case 'failed':
      return [{ reference, state: 'failed', note: outcome.reason }];
    case 'unknown':
      return [];
  }
}

function placeOf(payment: Payment): OrderRef {
  const place = parseOrderId(payment.orderId);
  if (!place) throw new Error(`bug: ${payment.orderId} is not an order id`);
  return place;
}
