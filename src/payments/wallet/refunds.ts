import { assertWhole } from '../../domain/money.ts';
import type { Database } from '../../ledger/database/database.ts';
import type { Accounts, Transfer } from '../../ledger/wallet/accounts.ts';
import type { PaymentProvider, Refund, RefundOutcome } from '../provider.ts';
import { accountIdsOf, type Book, type BookEntry } from './book.ts';

type AcceptedRefund = { wanted: Refund; entry: BookEntry };

/**
 * Refunds of wallet charges. A refund is a transfer, and the transfer's reference is unique: that is
 * what makes a refund happen once.
 */
export function openRefunds({
  database,
  accounts,
  book,
}: {
  database: Database;
  accounts: Accounts;
  book: Book;
}): PaymentProvider['refund'] {
  return async (refunds) => {
    if (refunds.length === 0) return [];
    for (const { amount } of refunds) assertWhole(amount, 'the amount of a refund');
    const references = [...new Set(refunds.map(({ payment }) => payment.reference))];
    const refundReferences = refunds.map(({ refundReference }) => refundReference);
    return await database.transaction(async (query) => {
      await accounts.lock(query, await book.accountsOf(query, references));
      const entries = await book.find(query, references, { lock: true });
      const posted = await accounts.posted(query, 'refund', refundReferences);
      const { outcomes, accepted } = decide(refunds, { entries, posted });
      await accounts.post(query, accepted.flatMap(transfersOf));
      await book.saveRefunded(query, [...new Set(accepted.map(({ entry }) => entry))]);
      return outcomes;
    });
  };
}

/**
 * Decides each refund in the order given, and adds the accepted ones to their entries' `refunded`
 * and to `posted`.
 */
function decide(
  refunds: readonly Refund[],
  { entries, posted }: { entries: Map<string, BookEntry>; posted: Map<string, number> },
): { outcomes: RefundOutcome[]; accepted: AcceptedRefund[] } {
  const accepted: AcceptedRefund[] = [];
  const outcomes = refunds.map((wanted): RefundOutcome => {
    const { refundReference, payment, amount } = wanted;
    const earlier = posted.get(refundReference);
    if (earlier !== undefined) return { refundReference, kind: 'refunded', amount: earlier };
    const entry = entries.get(payment.reference);
    if (entry?.state !== 'captured' && entry?.state !== 'refunded') {
      return { refundReference, kind: 'failed', reason: 'nothing was captured' };
    }
    if (entry.refunded + amount > entry.amount) {
      return { refundReference, kind: 'failed', reason: 'more than was captured' };
    }
    entry.refunded += amount;
    posted.set(refundReference, amount);
    accepted.push({ wanted, entry });
    return { refundReference, kind: 'refunded', amount };
  });
  return { outcomes, accepted };
}

/** The transfer of a refund; none for an amount of 0. */
function transfersOf({ wanted, entry }: AcceptedRefund): Transfer[] {
  const { refundReference: reference, amount } = wanted;
  if (amount === 0) return [];
  const { buyer, merchant } = accountIdsOf(entry);
  return [{ kind: 'refund', reference, debit: merchant, credit: buyer, amount }];
}
