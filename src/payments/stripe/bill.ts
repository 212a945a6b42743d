import type { Stripe } from 'stripe';
import type { BillLine } from '../provider.ts';
import { fromStripe } from './money.ts';
import { metadataKey } from './references.ts';

const pageSize = 100;

/** Stripe's own book: captures, then refunds, each newest first, fetched page by page while it is read. */
export function openBill(client: Stripe) {
  return async function* bill(window: { from: number; until: number }): AsyncIterable<BillLine> {
    const page = { created: rangeOf(window), limit: pageSize };
    for await (const charge of client.charges.list(page)) {
      if (charge.paid && charge.captured) {
        yield lineOf('capture', charge, charge.amount_captured);
      }
    }
    for await (const refund of client.refunds.list(page)) {
      if (refund.status === 'succeeded') yield lineOf('refund', refund, refund.amount);
    }
  };
}

/** The window in Stripe's whole seconds. */
function rangeOf({ from, until }: { from: number; until: number }): Stripe.RangeQueryParam {
  return { gte: Math.ceil(from / 1000), lt: Math.ceil(until / 1000) };
}

function lineOf(
  kind: BillLine['kind'],
  entry: Stripe.Charge | Stripe.Refund,
  amount: number,
): BillLine {
  return {
    kind,
    reference: entry.metadata?.[metadataKey] ?? '',
    providerReference: entry.id,
    amount,
    currency: fromStripe(entry.currency),
    at: entry.created * 1000,
  };
}
