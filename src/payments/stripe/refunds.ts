import type { Stripe } from 'stripe';
import type { PaymentProvider, Refund, RefundOutcome } from '../provider.ts';
import { sideBySide } from './client.ts';
import { type FailureOf, isReplay, wordsOf } from './failures.ts';
import { metadataKey } from './references.ts';
import type { Sessions } from './sessions.ts';

const pageSize = 100;
const pagesMax = 10;

/**
 * Gives money back, once for each reference. Stripe forgets idempotency keys after a day and repeats
 * its own failures until then, so the refunds of the payment are looked through before one is asked
 * for: the reference stands in their metadata.
 */
export function openRefunds({
  client,
  failureOf,
  intentOf,
}: {
  client: Stripe;
  failureOf: FailureOf;
  intentOf: Sessions['intentOf'];
}): PaymentProvider['refund'] {
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
      // Nothing of it was in the list a moment ago; a kept failure ends with the key.
      const failure = failureOf(error);
      const isFinal = failure === 'refused' || failure === 'absent';
      if (isFinal) return { refundReference, kind: 'failed', reason: wordsOf(error) };
      const found = failure === 'unknown' ? undefined : await find(intent, refundReference);
      return found ?? { refundReference, kind: 'unknown' };
    }
  }

  /** Undefined when every refund of the payment was seen and none was this one. */
  async function find(intent: string, refundReference: string): Promise<RefundOutcome | undefined> {
    try {
      let after: { starting_after?: string } = {};
      for (let page = 1; page <= pagesMax; page += 1) {
        const { data, has_more } = await client.refunds.list({
          payment_intent: intent,
          limit: pageSize,
          ...after,
        });
        const found = data.find(({ metadata }) => metadata?.[metadataKey] === refundReference);
        if (found) return outcomeOf(refundReference, found);
        const last = data.at(-1);
        if (!has_more || !last) return undefined;
        after = { starting_after: last.id };
      }
    } catch (error) {
      failureOf(error);
    }
    return { refundReference, kind: 'unknown' };
  }

  return async (refunds) => await sideBySide(refunds, refundOne);
}

function outcomeOf(refundReference: string, refund: Stripe.Refund): RefundOutcome {
  const told = { refundReference, providerReference: refund.id };
  switch (refund.status) {
    case 'succeeded':
      return { ...told, kind: 'refunded', amount: refund.amount };
    case 'failed':
    case 'canceled':
      return { ...told, kind: 'failed', reason: refund.failure_reason ?? refund.status };
    default:
      // `pending` and `requires_action`.
      return { ...told, kind: 'pending' };
  }
}
