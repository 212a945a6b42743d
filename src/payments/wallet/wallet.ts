import { type Clock, systemClock } from '../../domain/clock.ts';
import type { Database } from '../../ledger/database/database.ts';
import type { Accounts } from '../../ledger/wallet/accounts.ts';
import type { PaymentProvider } from '../provider.ts';
import { openBook } from './book.ts';
import { openPayments } from './payments.ts';
import { openRefunds } from './refunds.ts';

/**
 * The embedded wallet: every buyer has an account from the first use, and a charge moves money from
 * it to the merchant's account at once. The wallet keeps a book of its own, the table
 * `wallet_charges`, which the audit compares with the ledger's payments.
 *
 * Every transaction takes its locks in one order, accounts, charges, transfers, so concurrent workers
 * wait for each other and never deadlock.
 */
export function openWallet(options: {
  database: Database;
  accounts: Accounts;
  clock?: Clock;
}): PaymentProvider {
  const { database, accounts, clock = systemClock } = options;
  const book = openBook(clock);
  return {
    name: 'wallet',
    startedBy: 'engine',
    takes: () => true,
    scenes: [],
    ...openPayments({ database, accounts, book }),
    refund: openRefunds({ database, accounts, book }),
  };
}
