import { type Clock, systemClock } from '../../domain/clock.ts';
import { type Account, type AccountRef, type Accounts, accountKey } from '../../ledger/accounts.ts';
import type { Database, Query } from '../../ledger/database.ts';
import type {
  Charge,
  DeclineReason,
  Outcome,
  PaymentProvider,
  Refund,
  RefundOutcome,
} from '../provider.ts';

type Booked = {
  reference: string;
  orderId: string;
  buyerAccount: number | null;
  merchantAccount: number | null;
  amount: number;
  state: 'captured' | 'declined' | 'closed' | 'refunded';
  reason: string;
};

const startsMax = 5;

/**
 * The embedded wallet: every buyer has an account from first use, and a charge moves money from
 * it to the merchant's at once. It keeps its own book, `wallet_charges`, which the audit holds
 * against the ledger's payments.
 *
 * Locks are always taken accounts first, then charges, then transfers; so concurrent workers
 * wait for each other and never in a circle.
 */
export function openWallet(options: {
  database: Database;
  accounts: Accounts;
  clock?: Clock;
}): PaymentProvider {
  const { database, accounts, clock = systemClock } = options;

  async function start(charges: readonly Charge[]): Promise<Outcome[]> {
    if (charges.length === 0) return [];
    for (let tries = 1; tries <= startsMax; tries += 1) {
      const outcomes = await attempt(charges);
      if (outcomes) return outcomes;
    }
    throw new Error(`the wallet could not book a batch in ${startsMax} tries`);
  }

  /** One transaction for the batch; undefined when somebody else booked one of its references. */
  async function attempt(charges: readonly Charge[]): Promise<Outcome[] | undefined> {
    const overtaken = Symbol('overtaken');
    try {
      return await database.transaction(async (query) => {
        const locked = await accounts.lock(query, charges.flatMap(accountsOf));
        const booked = await find(query, { references: charges.map((charge) => charge.reference) });
        const outcomes = await take(query, charges, { locked, booked });
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
    return await take(query, charges, { locked, booked: new Map() });
  }

  /** Books and posts what `booked` does not have; undefined when the book has one of it already. */
  async function take(
    query: Query,
    charges: readonly Charge[],
    state: { locked: Map<string, Account>; booked: Map<string, Booked> },
  ): Promise<Outcome[] | undefined> {
    const fresh = decide(charges, state);
    if ((await book(query, fresh)) < fresh.length) return undefined;
    await accounts.post(query, fresh.flatMap(captureOf));
    return charges.map((charge) => outcomeOf(charge.reference, state.booked));
  }

  async function book(query: Query, fresh: readonly Booked[]): Promise<number> {
    if (fresh.length === 0) return 0;
    const rows = await query(bookSql, [JSON.stringify(fresh), clock.now()]);
    return rows.length;
  }

  async function lookUp(references: readonly string[]): Promise<Outcome[]> {
    const booked = await find(database.query, { references });
    return references.map((reference) => outcomeOf(reference, booked));
  }

  async function close(references: readonly string[]): Promise<Outcome[]> {
    if (references.length === 0) return [];
    const closed = references.map((reference): Booked => {
      const none = { orderId: '', buyerAccount: null, merchantAccount: null, amount: 0 };
      return { reference, ...none, state: 'closed', reason: 'closed' };
    });
    // A charge in flight is waited for by the insert itself; then its outcome stands.
    await database.query(bookSql, [JSON.stringify(closed), clock.now()]);
    return await lookUp(references);
  }

  async function refund(refunds: readonly Refund[]): Promise<RefundOutcome[]> {
    if (refunds.length === 0) return [];
    const references = refunds.map((wanted) => wanted.reference);
    return await database.transaction(async (query) => {
      const charges = await find(query, { references });
      const refs = await ownersOf(query, [...charges.values()]);
      await accounts.lock(query, refs);
      const claimed = await query<{ reference: string }>(refundSql, [
        [...charges.keys()],
        clock.now(),
      ]);
      const moves = claimed.map(({ reference }) => refundOf(charges.get(reference) as Booked));
      await accounts.post(
        query,
        moves.filter((move) => move.amount > 0),
      );
      // A refund by somebody else in the meantime has already given this money back.
      return references.map((reference): RefundOutcome => {
        const charge = charges.get(reference);
        if (charge?.state !== 'captured' && charge?.state !== 'refunded') {
          return { reference, kind: 'none' };
        }
        return { reference, kind: 'refunded', amount: charge.amount };
      });
    });
  }

  return { name: 'wallet', start, startWithin, lookUp, close, refund };
}

/**
 * Decides each charge of a batch in its order against the balances as locked, and enters it in
 * `booked`. Gives the charges that are new.
 */
function decide(
  charges: readonly Charge[],
  state: { locked: Map<string, Account>; booked: Map<string, Booked> },
): Booked[] {
  const fresh: Booked[] = [];
  for (const charge of charges) {
    if (state.booked.has(charge.reference)) continue;
    const [buyer, merchant] = accountsOf(charge).map((ref) => state.locked.get(accountKey(ref)));
    if (!buyer || !merchant) throw new Error('bug: an account of a charge is not locked');
    const covered = buyer.balance >= charge.amount;
    if (covered) buyer.balance -= charge.amount;
    const entry: Booked = {
      reference: charge.reference,
      orderId: charge.orderId,
      buyerAccount: buyer.id,
      merchantAccount: merchant.id,
      amount: charge.amount,
      state: covered ? 'captured' : 'declined',
      reason: covered ? '' : 'insufficient_funds',
    };
    state.booked.set(charge.reference, entry);
    fresh.push(entry);
  }
  return fresh;
}

function accountsOf(charge: Charge): [buyer: AccountRef, merchant: AccountRef] {
  const { buyer, merchantId, currency } = charge;
  return [
    { kind: 'buyer', owner: buyer, currency },
    { kind: 'merchant', owner: merchantId, currency },
  ];
}

function captureOf({ reference, buyerAccount, merchantAccount, amount, state }: Booked) {
  if (state !== 'captured' || amount === 0) return [];
  const [debit, credit] = [buyerAccount as number, merchantAccount as number];
  return [{ kind: 'capture' as const, reference, debit, credit, amount }];
}

function refundOf({ reference, buyerAccount, merchantAccount, amount }: Booked) {
  const [debit, credit] = [merchantAccount as number, buyerAccount as number];
  return { kind: 'refund' as const, reference, debit, credit, amount };
}

function outcomeOf(reference: string, booked: Map<string, Booked>): Outcome {
  const charge = booked.get(reference);
  if (!charge) return { reference, kind: 'none' };
  const { state, amount } = charge;
  if (state === 'captured' || state === 'refunded') return { reference, kind: state, amount };
  return { reference, kind: 'declined', reason: charge.reason as DeclineReason };
}

async function find(
  query: Query,
  by: { references: readonly string[] },
): Promise<Map<string, Booked>> {
  const rows = await query<Booked>(
    `select reference, order_id as "orderId", buyer_account as "buyerAccount",
       merchant_account as "merchantAccount", amount, state, reason
     from wallet_charges where reference = any($1::text[])`,
    [by.references],
  );
  return new Map(rows.map((row) => [row.reference, row]));
}

async function ownersOf(query: Query, charges: readonly Booked[]): Promise<AccountRef[]> {
  const ids = charges.flatMap((charge) => [charge.buyerAccount, charge.merchantAccount]);
  return await query<AccountRef>(
    'select kind, owner, currency from accounts where id = any($1::bigint[])',
    [ids.filter((id) => id !== null)],
  );
}

const bookSql = `
  insert into wallet_charges (reference, order_id, buyer_account, merchant_account, amount, state,
    reason, created_at)
  select reference, "orderId", "buyerAccount", "merchantAccount", amount, state, reason, $2
  from json_to_recordset($1::json) as r(reference text, "orderId" text, "buyerAccount" bigint,
    "merchantAccount" bigint, amount bigint, state text, reason text)
  order by reference collate "C"
  on conflict do nothing
  returning reference`;

const refundSql = `
  with claimed as materialized (
    select reference from wallet_charges
    where reference = any($1::text[]) and state = 'captured'
    order by reference for update)
  update wallet_charges w set state = 'refunded', refunded_at = $2
  from claimed where w.reference = claimed.reference
  returning w.reference`;
