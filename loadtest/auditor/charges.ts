import { createHash } from 'node:crypto';
import type { ProviderCharge } from './sources.ts';

/** The most payment attempts that one order may have. */
const attemptsMax = 20;

/** What providers captured and refunded for one order. */
export type ChargedOrder = { captured: number; refunded: number; captures: number };

export type Charged = {
  orders: Map<string, ChargedOrder>;
  /** Charges that belong to no listed order. */
  strays: ProviderCharge[];
  figures: { charges: number; captured: number; refunded: number };
};

/**
 * A provider knows an attempt by a digest of order and number, so its book is read by making the
 * digests of every listed order. The engine's own list of payments is not used.
 */
export async function readCharges(
  charges: AsyncIterable<ProviderCharge> | Iterable<ProviderCharge>,
  orders: Iterable<string>,
): Promise<Charged> {
  const byReference = new Map<string, ProviderCharge[]>();
  const figures = { charges: 0, captured: 0, refunded: 0 };
  for await (const charge of charges) {
    const same = byReference.get(charge.reference);
    if (same) same.push(charge);
    else byReference.set(charge.reference, [charge]);
    figures.charges += 1;
    figures.captured += capturedOf(charge);
    figures.refunded += refundedOf(charge);
  }
  const charged = new Map<string, ChargedOrder>();
  if (byReference.size === 0) return { orders: charged, strays: [], figures };
  for (const order of orders) {
    for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
      const reference = referenceOf(order, attempt);
      for (const charge of byReference.get(reference) ?? []) {
        const sum = charged.get(order) ?? { captured: 0, refunded: 0, captures: 0 };
        sum.captured += capturedOf(charge);
        sum.refunded += refundedOf(charge);
        sum.captures += charge.captures;
        charged.set(order, sum);
      }
      byReference.delete(reference);
    }
  }
  return { orders: charged, strays: [...byReference.values()].flat(), figures };
}

/** The form of a payment reference: `fd` and 120 bits in hex. */
function referenceOf(order: string, attempt: number): string {
  const digest = createHash('sha256').update(order).update('\0').update(String(attempt));
  return `fd${digest.digest('hex').slice(0, 30)}`;
}

export const capturedOf = ({ amount, captures }: ProviderCharge) => amount * captures;

function refundedOf({ refunds }: ProviderCharge): number {
  return refunds.reduce((sum, { amount }) => sum + amount, 0);
}
