import type { PaymentReference } from '../../src/domain/ids.ts';
import type { Outcome, PaymentProvider } from '../../src/payments/provider.ts';
import { anItem } from '../support/drops.ts';

const price = anItem().unitAmount;

/** A provider at which a buyer pays by hand: its book is a map from references to what it tells. */
export function aCashier() {
  const book = new Map<string, Outcome>();
  const given: { reference: string; amount: number }[] = [];
  const tell = (reference: PaymentReference): Outcome =>
    book.get(reference) ?? { reference, kind: 'none' };
  const provider: PaymentProvider = {
    name: 'wallet',
    startedBy: 'buyer',
    takes: () => true,
    scenes: ['page'],
    async start(charges) {
      return charges.map(({ reference }) => {
        const pending: Outcome = {
          reference,
          kind: 'pending',
          action: { kind: 'redirect', url: 'https://pay.test' },
        };
        book.set(reference, book.get(reference) ?? pending);
        return tell(reference);
      });
    },
    lookUp: async (payments) => payments.map(({ reference }) => tell(reference)),
    async close(payments) {
      return payments.map(({ reference }) => {
        const known = tell(reference);
        if (known.kind === 'captured') return known;
        const closed: Outcome = { reference, kind: 'declined', reason: 'closed' };
        book.set(reference, closed);
        return closed;
      });
    },
    async refund(refunds) {
      return refunds.map(({ refundReference, amount }) => {
        const isNew = !given.some(({ reference }) => reference === refundReference);
        if (isNew) given.push({ reference: refundReference, amount });
        return { refundReference, kind: 'refunded', amount };
      });
    },
  };
  const pay = (reference: PaymentReference, amount = price, currency = 'CNY') =>
    book.set(reference, { reference, kind: 'captured', amount, currency });
  return { provider, book, given, pay };
}
