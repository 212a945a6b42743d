import type { ReleaseReason } from '../../domain/order.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { Providers } from '../../payments/provider.ts';
import { inOrderOfCapture, isKept, isOpen, type Recorded, type Settled } from './batch.ts';

/** A captured payment that is to be refunded. */
export type DueRefund = {
  payment: Payment;
  /** The order keeps no other money: after this refund it is `refunded`, or `released` if never paid. */
  isLast: boolean;
};

/** What happens to an order in its lane. */
export type Step =
  /** It is sold for this payment. */
  | { kind: 'confirm'; payment: Payment }
  | { kind: 'release'; reason: ReleaseReason }
  /** Nothing. */
  | { kind: 'leave'; settled: Settled };

/** A recorded item with the decision: what happens in the lane, and which payments are refunded. */
export type Decided = Recorded & { step: Step; refunds: readonly DueRefund[] };

/** Decides from an order's state and its payments alone; no store is read. */
export function decide(item: Recorded, providers: Providers): Decided {
  const { keptPayment, toRefund } = splitCaptures(item);
  const refunds = toRefund.map((payment) => ({ payment, isLast: !keptPayment }));
  const { state } = item.order;
  if (state === 'paid' || state === 'refunded') {
    return { ...item, refunds, step: { kind: 'leave', settled: { kind: state } } };
  }
  if (keptPayment) return { ...item, refunds, step: { kind: 'confirm', payment: keptPayment } };
  if (refunds.length > 0) {
    return { ...item, refunds, step: { kind: 'leave', settled: { kind: 'released' } } };
  }
  return { ...item, refunds, step: stepWithoutMoney(item, providers) };
}

/**
 * An order keeps the first of its captured payments that has the right amount and no decided refund.
 * Every other captured payment is refunded. A refunded order keeps none.
 */
function splitCaptures({ attempts, order }: Recorded): {
  keptPayment: Payment | undefined;
  toRefund: Payment[];
} {
  const refundDecided = attempts.filter((payment) => {
    return payment.refundAskedAt !== null && payment.state === 'captured';
  });
  const kept = inOrderOfCapture(attempts.filter(isKept));
  const keptPayment = order.state === 'refunded' ? undefined : kept.find(isExact);
  const surplus = kept.filter((payment) => payment !== keptPayment);
  return { keptPayment, toRefund: [...refundDecided, ...surplus] };
}

export const isExact = ({ amount, amountCaptured }: Payment) => amountCaptured === amount;

/** The step for an order without a captured payment: wait for buyer or provider, retry, or release. */
function stepWithoutMoney(item: Recorded, providers: Providers): Step {
  const { attempts, order, isHeld } = item;
  const open = attempts.find(isOpen);
  if (open) {
    // A payment that a buyer began is polled; one that the engine began is tried again by its job.
    const isPolled = providers.get(open.provider)?.startedBy === 'buyer';
    const settled: Settled = isPolled
      ? { kind: 'waiting' }
      : { kind: 'later', why: `the payment is ${open.state}` };
    return { kind: 'leave', settled };
  }
  if (order.state === 'released') return { kind: 'leave', settled: { kind: 'released' } };
  const last = attempts.at(-1);
  // A payment that was only closed leaves the buyer the rest of the hold, to pay in another way.
  if (last && (!isHeld || last.reason !== 'closed')) {
    return { kind: 'release', reason: isHeld ? reasonOf(last) : 'expired' };
  }
  return { kind: 'leave', settled: { kind: isHeld ? 'waiting' : 'lapsed' } };
}

function reasonOf({ reason }: Payment): ReleaseReason {
  return reason === 'insufficient_funds' ? 'insufficient_funds' : 'declined';
}
