import type { Payment } from '../ledger/payments/row.ts';
import type { Outcome } from '../payments/provider.ts';
import { isOpen } from '../settlement/settle/batch.ts';
import type { Finding } from './differences.ts';

/** The order, payment and provider that a finding on this payment names. */
export function subject(kind: Finding['kind'], { orderId, reference, provider }: Payment) {
  return { kind, order: orderId, payment: reference, provider };
}

/** A payment as the ledger has it, for an operator. */
export function describePayment(payment: Payment): string {
  const { state, amount, amountCaptured, amountRefunded, currency } = payment;
  if (isOpen(payment) || state === 'declined') return `${state}, ${amount} ${currency}`;
  const back = amountRefunded > 0 ? `, refunded ${amountRefunded}` : '';
  return `${state} ${amountCaptured} ${currency}${back}`;
}

/** A payment as its provider has it, for an operator. */
export function describeOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'captured': {
      const { amount, currency = '', refunded } = outcome;
      const back = refunded ? `, refunded ${refunded}` : '';
      return `captured ${amount} ${currency}`.trimEnd() + back;
    }
    case 'declined':
      return `declined (${outcome.reason})`;
    case 'none':
      return 'never heard of it';
    default:
      return outcome.kind;
  }
}
