import { type Clock, systemClock } from '../../domain/clock.ts';
import type { PayableId } from '../../domain/ids.ts';
import { assertWhole } from '../../domain/money.ts';
import type { Database, Query } from '../../ledger/database/database.ts';
import { type Account, type AccountRef, accountKey } from '../../ledger/wallet/account.ts';
import type { Accounts } from '../../ledger/wallet/accounts.ts';
import type {
  Charge,
  DeclineReason,
  Outcome,
  PaymentProvider,
  PaymentRef,
  Refund,
  RefundOutcome,
} from '../provider.ts';

type Booked = {
  reference: string;
  orderId: PayableId | '';
  buyerAccount: number | null;
  merchantAccount: number | null;
  amount: number;
  refunded: number;
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

  async function lookUp(payments: readonly PaymentRef[]): Promise<Outcome[]> {
    const references = payments.map(({ reference }) => reference);
    const booked = await find(database.query, { references });
    return references.map((reference) => outcomeOf(reference, booked));
  }

  async function close(payments: readonly PaymentRef[]): Promise<Outcome[]> {
    if (payments.length === 0) return [];
    const closed = payments.map(({ reference }): Booked => {
      const none = {
        orderId: '' as const,
        buyerAccount: null,
        merchantAccount: null,
        amount: 0,
        refunded: 0,
      };
      return { reference, ...none, state: 'closed', reason: 'closed' };
    });
    // A charge in flight is waited for by the insert itself; then its outcome stands.
    await database.query(bookSql, [JSON.stringify(closed), clock.now()]);
    return await lookUp(payments);
  }

  /** The transfer is what makes a refund happen once: its reference stands in the book already or not. */
  async function refund(refunds: readonly Refund[]): Promise<RefundOutcome[]> {
    if (refunds.length === 0) return [];
    for (const { amount } of refunds) assertWhole(amount, 'the amount of a refund');
    const references = [...new Set(refunds.map(({ payment }) => payment.reference))];
    return await database.transaction(async (query) => {
      await accounts.lock(query, await ownersOf(query, references));
      const charges = await find(query, { references, locked: true });
      const done = await accounts.posted(
        query,
        'refund',
        refunds.map((wanted) => wanted.refundReference),
      );
      const fresh: Refund[] = [];
      const outcomes = refunds.map((wanted): RefundOutcome => {
        const { refundReference, amount } = wanted;
        const charge = charges.get(wanted.payment.reference);
        const earlier = done.get(refundReference);
        if (earlier !== undefined) return { refundReference, kind: 'refunded', amount: earlier };
        const isTaken = charge?.state === 'captured' || charge?.state === 'refunded';
        if (!isTaken || charge.refunded + amount > charge.amount) {
          const reason = isTaken ? 'more than was captured' : 'nothing was captured';
          return { refundReference, kind: 'failed', reason };
        }
        charge.refunded += amount;
        done.set(refundReference, amount);
        fresh.push(wanted);
        return { refundReference, kind: 'refunded', amount };
      });
      const moves = fresh.map((wanted) => {
        return refundOf(charges.get(wanted.payment.reference) as Booked, wanted);
      });
      await accounts.post(
        query,
        moves.filter((move) => move.amount > 0),
      );
      const changed = [...new Set(fresh.map(({ payment }) => charges.get(payment.reference)))];
      await query(refundSql, [JSON.stringify(changed), clock.now()]);
      return outcomes;
    });
  }

  return {
    name: 'wallet',
    startedBy: 'engine',
    takes: () => true,
    scenes: [],
    start,
    startWithin,
    lookUp,
    close,
    refund,
  };
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
      refunded: 0,
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

function refundOf({ buyerAccount, merchantAccount }: Booked, { refundReference, amount }: Refund) {
  const [debit, credit] = [merchantAccount as number, buyerAccount as number];
  return { kind: 'refund' as const, reference: refundReference, debit, credit, amount };
}

function outcomeOf(reference: string, booked: Map<string, Booked>): Outcome {
  const charge = booked.get(reference);
  if (!charge) return { reference, kind: 'none' };
  const { state, amount, refunded } = charge;
  if (state === 'captured' || state === 'refunded') {
    return { reference, kind: 'captured', amount, refunded };
  }
  return { reference, kind: 'declined', reason: charge.reason as DeclineReason };
}

async function find(
  query: Query,
  by: { references: readonly string[]; locked?: boolean },
): Promise<Map<string, Booked>> {
  const rows = await query<Booked>(
    `select reference, order_id as "orderId", buyer_account as "buyerAccount",
       merchant_account as "merchantAccount", amount, amount_refunded as refunded, state, reason
     from wallet_charges where reference = any($1::text[])
     ${by.locked ? 'order by reference for update' : ''}`,
    [by.references],
  );
  return new Map(rows.map((row) => [row.reference, row]));
}

async function ownersOf(query: Query, references: readonly string[]): Promise<AccountRef[]> {
  return await query<AccountRef>(
    `select distinct a.kind, a.owner, a.currency, a.slot from wallet_charges w
     join accounts a on a.id in (w.buyer_account, w.merchant_account)
     where w.reference = any($1::text[])`,
    [references],
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
  update wallet_charges w set amount_refunded = r.refunded,
    state = case when r.refunded = w.amount then 'refunded' else w.state end,
    refunded_at = case when r.refunded = w.amount then $2 else w.refunded_at end
  from json_to_recordset($1::json) as r(reference text, refunded bigint)
  where w.reference = r.reference collate "C"`;
