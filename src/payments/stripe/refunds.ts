import type { Stripe } from 'stripe';
import { answerEach } from '../concurrency.ts';
import {
  type PaymentProvider,
  type Refund,
  type RefundLookUp,
  type RefundOutcome,
  unknownRefund,
} from '../provider.ts';
import { callsMax } from './client.ts';
import { explanationOf, type FailureOf, isReplay } from './failures.ts';
import type { StripePayments } from './payments.ts';
import { metadataKey } from './references.ts';

const pageSize = 100;
const pagesMax = 10;

/**
 * Refunds, one for each reference. Stripe forgets an idempotency key after a day and repeats its own
 * failures until then, so the payment's refunds are listed first: ours have their reference in the
 * metadata.
 */
export function openRefunds({
  client,
  failureOf,
  intentOf,
}: {
  client: Stripe;
  failureOf: FailureOf;
  intentOf: StripePayments['intentOf'];
}): Required<Pick<PaymentProvider, 'refund' | 'lookUpRefunds'>> {
  async function refundOne(wanted: Refund): Promise<RefundOutcome> {
    const { refundReference, payment } = wanted;
    const paid = await intentOf(payment);
    if (paid === 'unknown') return { refundReference, kind: 'unknown' };
    if (paid === 'none') {
      return { refundReference, kind: 'failed', reason: 'Stripe knows of no such payment' };
    }
    const earlier = await find(paid.intent, refundReference);
    return earlier ?? (await create(paid.intent, wanted));
  }

  async function lookUpOne({ refundReference, payment }: Refund): Promise<RefundLookUp> {
    const paid = await intentOf(payment);
    if (typeof paid !== 'object') return { refundReference, kind: paid };
    return (await find(paid.intent, refundReference)) ?? { refundReference, kind: 'none' };
  }

  async function create(intent: string, wanted: Refund): Promise<RefundOutcome> {
    const { refundReference, amount, payment } = wanted;
    try {
      const refund = await client.refunds.create(
        {
          payment_intent: intent,
          amount,
          metadata: { [metadataKey]: refundReference, payment: payment.reference },
        },
        { idempotencyKey: refundReference },
      );
      return isReplay(refund.lastResponse.headers)
        ? outcomeOf(refundReference, await client.refunds.retrieve(refund.id))
        : outcomeOf(refundReference, refund);
    } catch (error) {
      // The refund was not in the list a moment ago. A repeated failure ends when Stripe forgets the key.
      const failure = failureOf(error);
      const isFinal = failure === 'refused' || failure === 'absent';
      if (isFinal) return { refundReference, kind: 'failed', reason: explanationOf(error) };
      const found = failure === 'unknown' ? undefined : await find(intent, refundReference);
      return found ?? { refundReference, kind: 'unknown' };
    }
  }

  /** The refund of a reference; undefined when all refunds of the payment were listed without it. */
  async function find(intent: string, refundReference: string): Promise<RefundOutcome | undefined> {
    try {
      const request: Stripe.RefundListParams = { payment_intent: intent, limit: pageSize };
      for (let page = 1; page <= pagesMax; page += 1) {
        const { data, has_more } = await client.refunds.list(request);
        const found = data.find(({ metadata }) => metadata?.[metadataKey] === refundReference);
        if (found) return outcomeOf(refundReference, found);
        const last = data.at(-1);
        if (!has_more || !last) return undefined;
        request.starting_after = last.id;
      }
    } catch (error) {
      failureOf(error);
    }
    return { refundReference, kind: 'unknown' };
  }

  return {
    refund: (refunds) =>
      answerEach(refunds, callsMax, { answer: refundOne, unknown: unknownRefund }),
    lookUpRefunds: (refunds) => {
      return answerEach(refunds, callsMax, { answer: lookUpOne, unknown: unknownRefund });
    },
  };
}

function outcomeOf(refundReference: string, refund: Stripe.Refund): RefundOutcome {
  const known = { refundReference, providerReference: refund.id };
  switch (refund.status) {
    case 'succeeded':
      return { ...known, kind: 'refunded', amount: refund.amount };
    case 'failed':
    case 'canceled':
      return { ...known, kind: 'failed', reason: refund.failure_reason ?? refund.status };
    default:
      // 'pending' or 'requires_action'.
      return { ...known, kind: 'pending' };
  }
}
