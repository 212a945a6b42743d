import type { Payments } from '../../ledger/payments/payments.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { Providers } from '../../payments/provider.ts';
import type { Seen } from './batch.ts';
import { chargeOf, factsOf } from './provider-calls.ts';

/**
 * Payments by order's id, begun and charged in one transaction with nothing in between; of no order
 * that somebody has begun to charge before, nor of its neighbours: those go the long way.
 */
export type AtOnce = (wanted: readonly Seen[]) => Promise<Map<string, Payment>>;

/** For providers that keep their book in the ledger: half the statements, and no crash to mend. */
export function openAtOnce(options: { payments: Payments; providers: Providers }): AtOnce {
  const { payments, providers } = options;

  return async function atOnce(wanted) {
    const charged = new Map<string, Payment>();
    for (const [name, group] of Map.groupBy(wanted, ({ order }) => order.method)) {
      const { startWithin } = providers.get(name) ?? {};
      if (!startWithin) continue;
      const starts = group.map(({ order: { id, drop, amount }, terms: { currency } }) => {
        return { orderId: id, drop, provider: name, amount, currency };
      });
      const done = await payments.beginCharged(starts, async (query, begun) => {
        const charges = begun.map((payment, index) => {
          return chargeOf({ ...(group[index] as Seen), payment });
        });
        const outcomes = await startWithin(query, charges);
        const byReference = new Map(begun.map((payment) => [payment.reference, payment]));
        return outcomes?.flatMap((outcome) => {
          const payment = byReference.get(outcome.reference) as Payment;
          return factsOf(outcome, { payment, now: payment.startedAt, byBuyer: false });
        });
      });
      for (const payment of done ?? []) charged.set(payment.orderId, payment);
    }
    return charged;
  };
}
