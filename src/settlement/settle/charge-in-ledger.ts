import { required } from '../../domain/required.ts';
import { type Database, rolledBackIfUndefined } from '../../ledger/database/database.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { PaymentProvider, Providers } from '../../payments/provider.ts';
import { paymentStart, type Seen } from './batch.ts';
import { chargeOf, resultsIn } from './provider-calls.ts';

/**
 * Begins and charges payments in one transaction, for providers that keep their book in the ledger.
 * @returns the payments by order id. When one order of a provider had a payment already, none of that
 *   provider's orders are charged here: they are charged as at any other provider.
 */
export type ChargeInLedger = (items: readonly Seen[]) => Promise<Map<string, Payment>>;

/** Takes half the statements of a separate charge, and no crash can separate payment and charge. */
export function openChargeInLedger(options: {
  database: Database;
  payments: Pick<Payments, 'prepare' | 'insertCharged'>;
  providers: Providers;
}): ChargeInLedger {
  const { database, payments, providers } = options;

  async function charge(
    startWithin: NonNullable<PaymentProvider['startWithin']>,
    items: readonly Seen[],
  ): Promise<Payment[]> {
    const prepared = payments.prepare(items.map(paymentStart));
    const asked = items.map((item, index) => ({
      item,
      payment: required(prepared[index], 'payment'),
    }));
    const charges = asked.map(({ item, payment }) => chargeOf({ ...item, payment }));
    const charged = await rolledBackIfUndefined(database, async (query) => {
      const outcomes = await startWithin(query, charges);
      if (!outcomes) return undefined;
      return await payments.insertCharged(query, prepared, resultsIn(outcomes, asked, providers));
    });
    return charged ?? [];
  }

  return async function chargeInLedger(items) {
    const charged = new Map<string, Payment>();
    for (const [name, group] of Map.groupBy(items, ({ order }) => order.method)) {
      const startWithin = providers.get(name)?.startWithin;
      if (!startWithin) continue;
      for (const payment of await charge(startWithin, group)) charged.set(payment.orderId, payment);
    }
    return charged;
  };
}
