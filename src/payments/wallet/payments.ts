import type { PaymentReference } from '../../domain/ids.ts';
import type { Database, Query } from '../../ledger/database/database.ts';
import type { Account, AccountRef } from '../../ledger/wallet/account.ts';
import type { Accounts, LockedAccounts, Transfer } from '../../ledger/wallet/accounts.ts';
import type { Charge, Outcome, PaymentProvider, PaymentRef } from '../provider.ts';
import { accountIdsOf, type Book, type BookEntry } from './book.ts';

const startsMax = 5;

/** Charges of the wallet: decided against the balances, written into the book, moved as transfers. */
export function openPayments({
  database,
  accounts,
  book,
}: {
  database: Database;
  accounts: Accounts;
  book: Book;
}): Required<Pick<PaymentProvider, 'start' | 'startWithin' | 'lookUp' | 'close'>> {
  async function start(charges: readonly Charge[]): Promise<Outcome[]> {
    if (charges.length === 0) return [];
    for (let tries = 1; tries <= startsMax; tries += 1) {
      const outcomes = await startOnce(charges);
      if (outcomes) return outcomes;
    }
    throw new Error(`the wallet could not book a batch in ${startsMax} tries`);
  }

  /** One transaction for the batch; undefined when another one wrote one of its references first. */
  async function startOnce(charges: readonly Charge[]): Promise<Outcome[] | undefined> {
    const overtaken = Symbol('overtaken');
    try {
      return await database.transaction(async (query) => {
        const locked = await accounts.lock(query, charges.flatMap(accountsOf));
        const entries = await book.find(
          query,
          charges.map((charge) => charge.reference),
        );
        const outcomes = await capture(query, charges, { locked, entries });
        if (!outcomes) throw overtaken;
        return outcomes;
      });
    } catch (error) {
      if (error === overtaken) return undefined;
      throw error;
    }
  }

  async function startWithin(
    query: Query,
    charges: readonly Charge[],
  ): Promise<Outcome[] | undefined> {
    const locked = await accounts.lock(query, charges.flatMap(accountsOf));
    return await capture(query, charges, { locked, entries: new Map() });
  }

  /**
   * Decides, books and transfers the charges that `entries` does not have; undefined when the book
   * has one of them after all.
   */
  async function capture(
    query: Query,
    charges: readonly Charge[],
    state: { locked: LockedAccounts; entries: Map<string, BookEntry> },
  ): Promise<Outcome[] | undefined> {
    const fresh = decide(charges, state);
    if ((await book.insert(query, fresh)) < fresh.length) return undefined;
    await accounts.post(query, fresh.flatMap(transfersOf));
    return charges.map((charge) => outcomeOf(charge.reference, state.entries));
  }

  async function lookUp(payments: readonly PaymentRef[]): Promise<Outcome[]> {
    const references = payments.map(({ reference }) => reference);
    const entries = await book.find(database.query, references);
    return references.map((reference) => outcomeOf(reference, entries));
  }

  async function close(payments: readonly PaymentRef[]): Promise<Outcome[]> {
    if (payments.length === 0) return [];
    // The insert waits for a charge in flight under the same reference, whose outcome then stands.
    await book.insert(database.query, payments.map(closedEntry));
    return await lookUp(payments);
  }

  return { start, startWithin, lookUp, close };
}

/**
 * Decides each charge of a batch, in the order given, against the locked balances, and adds it to
 * `entries`.
 * @returns the entries that are new
 */
function decide(
  charges: readonly Charge[],
  { locked, entries }: { locked: LockedAccounts; entries: Map<string, BookEntry> },
): BookEntry[] {
  const fresh: BookEntry[] = [];
  for (const charge of charges) {
    if (entries.has(charge.reference)) continue;
    const [buyer, merchant] = accountsOf(charge);
    const entry = entryOf(charge, { buyer: locked(buyer), merchant: locked(merchant) });
    entries.set(charge.reference, entry);
    fresh.push(entry);
  }
  return fresh;
}

/** The entry of a charge: captured, with the buyer's balance lowered, when the balance covers it. */
function entryOf(
  { reference, orderId, amount }: Charge,
  { buyer, merchant }: { buyer: Account; merchant: Account },
): BookEntry {
  const isCovered = buyer.balance >= amount;
  if (isCovered) buyer.balance -= amount;
  return {
    reference,
    orderId,
    buyerAccount: buyer.id,
    merchantAccount: merchant.id,
    amount,
    refunded: 0,
    state: isCovered ? 'captured' : 'declined',
    reason: isCovered ? '' : 'insufficient_funds',
  };
}

function closedEntry({ reference }: PaymentRef): BookEntry {
  return {
    reference,
    orderId: '',
    buyerAccount: null,
    merchantAccount: null,
    amount: 0,
    refunded: 0,
    state: 'closed',
    reason: 'closed',
  };
}

function accountsOf(charge: Charge): [buyer: AccountRef, merchant: AccountRef] {
  const { buyer, merchantId, currency } = charge;
  return [
    { kind: 'buyer', owner: buyer, currency },
    { kind: 'merchant', owner: merchantId, currency },
  ];
}

/** The transfer of a capture; none for a decline or an amount of 0. */
function transfersOf(entry: BookEntry): Transfer[] {
  const { state, amount, reference } = entry;
  if (state !== 'captured' || amount === 0) return [];
  const { buyer, merchant } = accountIdsOf(entry);
  return [{ kind: 'capture', reference, debit: buyer, credit: merchant, amount }];
}

function outcomeOf(reference: PaymentReference, entries: ReadonlyMap<string, BookEntry>): Outcome {
  const entry = entries.get(reference);
  if (!entry) return { reference, kind: 'none' };
  const { state, amount, refunded, reason } = entry;
  if (state === 'captured' || state === 'refunded') {
    return { reference, kind: 'captured', amount, refunded };
  }
  return { reference, kind: 'declined', reason: reason || 'declined' };
}
