import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type MerchantId, newMerchantId } from '../../src/domain/ids.ts';
import { rolledBackIfUndefined } from '../../src/ledger/database/database.ts';
import type { PaymentResult } from '../../src/ledger/payments/results.ts';
import { paymentReference } from '../../src/ledger/payments/row.ts';
import type { Entry, EntryPlace } from '../../src/ledger/wallet/entries.ts';
import type { Charge, Outcome, Refund } from '../../src/payments/provider.ts';
import { openWallet } from '../../src/payments/wallet/wallet.ts';
import { aDropId, anOrderId } from '../support/ids.ts';
import { onEachLedger } from '../support/ledgers.ts';
import { testSeed } from '../support/seed.ts';

const currency = 'CNY';
const price = 100;

onEachLedger((ledger) => {
  const wallet = () => openWallet({ database: ledger().database, accounts: ledger().accounts });

  function chargeOf(change: Partial<Charge> = {}): Charge {
    const orderId = anOrderId();
    const reference = paymentReference(orderId, 1);
    const merchantId = newMerchantId();
    return {
      reference,
      orderId,
      buyer: 'nobody',
      merchantId,
      amount: price,
      currency,
      title: '',
      startedAt: 0,
      expiresAt: Number.MAX_SAFE_INTEGER,
      wish: {},
      ...change,
    };
  }

  function refundOf(charge: Charge, change: Partial<Refund> & { number?: number } = {}): Refund {
    const { number = 1, ...rest } = change;
    const refundReference = `${charge.reference}r${number}`;
    const { amount, currency } = charge;
    return {
      refundReference,
      payment: charge,
      amount,
      captured: amount,
      currency,
      reason: '',
      askedAt: 0,
      ...rest,
    };
  }

  function aStart() {
    return { orderId: anOrderId(), drop: aDropId(), provider: 'wallet', amount: price, currency };
  }

  /** A buyer nobody else knows, with money for so many charges. */
  async function buyerWith(charges: number): Promise<string> {
    const buyer = randomUUID();
    const amount = charges * price;
    if (amount > 0) await ledger().accounts.topUp({ buyer, currency, amount, reference: buyer });
    return buyer;
  }

  const balance = (owner: string, kind: 'buyer' | 'merchant' = 'buyer') =>
    ledger().accounts.balance({ kind, owner, currency });

  async function expectBooksBalance(): Promise<void> {
    expect(await ledger().accounts.trialBalance()).toMatchObject({ sum: 0, drifted: [] });
  }

  async function capturedOf(charges: Charge[]): Promise<number> {
    const outcomes = await wallet().lookUp(charges);
    return outcomes.filter((outcome) => outcome.kind === 'captured').length;
  }

  describe('Charges', () => {
    it('A hundred charges in parallel are captured exactly as often as the balance covers', async () => {
      const buyer = await buyerWith(30);
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, () => wallet().start([chargeOf({ buyer })])),
      );
      const kinds = outcomes.flat().map((outcome) => outcome.kind);
      expect(kinds.filter((kind) => kind === 'captured')).toHaveLength(30);
      expect(kinds.filter((kind) => kind === 'declined')).toHaveLength(70);
      expect(await balance(buyer)).toBe(0);
      await expectBooksBalance();
    });

    it('A hundred charges in one batch never overdraw a wallet', async () => {
      const buyer = await buyerWith(30);
      const charges = Array.from({ length: 100 }, () => chargeOf({ buyer }));
      const outcomes = await wallet().start(charges);
      expect(outcomes.slice(0, 30).every((outcome) => outcome.kind === 'captured')).toBe(true);
      expect(outcomes.slice(30)).toEqual(
        charges.slice(30).map(({ reference }) => ({
          reference,
          kind: 'declined',
          reason: 'insufficient_funds',
        })),
      );
      expect(await balance(buyer)).toBe(0);
    });

    it('A hundred charges in the ledger at once, over several connections, never overdraw a wallet', async () => {
      const buyer = await buyerWith(30);
      const { payments } = ledger();
      const sessions = new Set<number>();
      const begun = await Promise.all(
        Array.from({ length: 100 }, () =>
          rolledBackIfUndefined(ledger().database, async (query) => {
            const prepared = payments.prepare([aStart()]);
            const [session] = await query<{ pid: number }>('select pg_backend_pid() as pid');
            sessions.add(session?.pid ?? 0);
            const charges = prepared.map(({ reference, orderId, startedAt }) => {
              return chargeOf({ buyer, reference, orderId, startedAt });
            });
            const outcomes = await wallet().startWithin?.(query, charges);
            return (
              outcomes && (await payments.insertCharged(query, prepared, outcomes.flatMap(factOf)))
            );
          }),
        ),
      );
      const states = begun.flatMap((payments) => payments ?? []).map(({ state }) => state);
      expect(states.filter((state) => state === 'captured')).toHaveLength(30);
      expect(states.filter((state) => state === 'declined')).toHaveLength(70);
      expect(await balance(buyer)).toBe(0);
      await expectBooksBalance();
      if (ledger().database.kind === 'postgres') expect(sessions.size).toBeGreaterThan(1);
    });

    it('A charge repeated under the same reference is captured once, in sequence or in parallel', async () => {
      const charge = chargeOf({ buyer: await buyerWith(10) });
      const first = await wallet().start([charge, charge]);
      const more = await Promise.all(Array.from({ length: 20 }, () => wallet().start([charge])));
      for (const outcome of [...first, ...more.flat()]) {
        expect(outcome).toMatchObject({
          reference: charge.reference,
          kind: 'captured',
          amount: price,
        });
      }
      expect(await balance(charge.buyer)).toBe(9 * price);
    });

    it('A declined charge stays declined after a top-up', async () => {
      const charge = chargeOf({ buyer: await buyerWith(0) });
      const [declined] = await wallet().start([charge]);
      await ledger().accounts.topUp({
        buyer: charge.buyer,
        currency,
        amount: price,
        reference: randomUUID(),
      });
      expect(await wallet().start([charge])).toEqual([declined]);
      expect(await balance(charge.buyer)).toBe(price);
    });

    it('Charges in batches of many workers, in opposite orders, are captured once, without deadlock', async () => {
      const buyers = await Promise.all(Array.from({ length: 200 }, () => buyerWith(2)));
      const merchants = [newMerchantId(), newMerchantId(), newMerchantId()];
      const charges = [0, 1, 2].flatMap(() =>
        buyers.map((buyer, n) => chargeOf({ buyer, merchantId: merchants[n % 3] as MerchantId })),
      );
      const { database, accounts } = ledger();
      let [transactions, runs] = [0, 0];
      const counted = openWallet({
        accounts,
        database: {
          ...database,
          transaction: (work) => {
            transactions += 1;
            return database.transaction((query) => {
              runs += 1;
              return work(query);
            });
          },
        },
      });
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, worker) =>
          counted.start(worker % 2 ? charges : charges.toReversed()),
        ),
      );
      expect(runs).toBe(transactions); // a deadlock would have made one run again
      expect(new Set(answers.map((outcomes) => sorted(outcomes))).size).toBe(1);
      expect(await capturedOf(charges)).toBe(400);
      for (const buyer of buyers) expect(await balance(buyer)).toBe(0);
      await expectBooksBalance();
    });

    it('Charges of the same merchant do not wait for each other, and all are in the balance', async () => {
      if (ledger().database.kind === 'pglite') return; // of one connection, nobody waits there
      const merchantId = newMerchantId();
      const [first, second] = [await buyerWith(1), await buyerWith(1)];
      const { database } = ledger();
      const charges = [first, second].map((buyer) => chargeOf({ buyer, merchantId }));
      await wallet().start([chargeOf({ buyer: await buyerWith(1), merchantId })]); // opens it
      // The second is charged whole while the first has not ended.
      await database.transaction(async (query) => {
        await wallet().startWithin?.(query, charges.slice(0, 1));
        expect(await wallet().start(charges.slice(1))).toMatchObject([{ kind: 'captured' }]);
      });
      expect(await balance(merchantId, 'merchant')).toBe(3 * price);
      await wallet().refund(charges.map((charge) => refundOf(charge)));
      expect(await balance(merchantId, 'merchant')).toBe(price);
      await expectBooksBalance();
    });

    it('A charge of zero is captured and moves no money', async () => {
      const charge = chargeOf({ buyer: await buyerWith(0), amount: 0 });
      expect(await wallet().start([charge])).toMatchObject([{ kind: 'captured', amount: 0 }]);
      const [back] = await wallet().refund([refundOf(charge)]);
      expect(back).toMatchObject({ kind: 'refunded', amount: 0 });
    });
  });

  describe('Closing', () => {
    it('A closed reference is never captured afterwards', async () => {
      const charge = chargeOf({ buyer: await buyerWith(1) });
      const closed = [{ reference: charge.reference, kind: 'declined', reason: 'closed' }];
      expect(await wallet().lookUp([charge])).toMatchObject([{ kind: 'none' }]);
      expect(await wallet().close([charge])).toEqual(closed);
      expect(await wallet().start([charge])).toEqual(closed);
      expect(await balance(charge.buyer)).toBe(price);
    });

    it('Closing a captured reference answers captured', async () => {
      const charge = chargeOf({ buyer: await buyerWith(1) });
      await wallet().start([charge]);
      expect(await wallet().close([charge])).toMatchObject([{ kind: 'captured' }]);
    });

    it('A reference charged and closed at once is one of the two, and both calls get the same answer', async () => {
      const buyer = await buyerWith(50);
      const charges = Array.from({ length: 50 }, () => chargeOf({ buyer }));
      const answers = await Promise.all(
        charges.map(async (charge) => {
          const [[started], [closed]] = await Promise.all([
            wallet().start([charge]),
            wallet().close([charge]),
          ]);
          return { started, closed };
        }),
      );
      for (const { started, closed } of answers) expect(started).toEqual(closed);
      const captured = answers.filter(({ started }) => started?.kind === 'captured').length;
      expect(await balance(buyer)).toBe((50 - captured) * price);
    });
  });

  describe('Refunds', () => {
    it('A refund returns the money once, however often it is requested', async () => {
      const charge = chargeOf({ buyer: await buyerWith(1), merchantId: newMerchantId() });
      await wallet().start([charge]);
      const refund = refundOf(charge);
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => wallet().refund([refund, refund])),
      );
      for (const outcome of answers.flat()) {
        const { refundReference } = refund;
        expect(outcome).toEqual({ refundReference, kind: 'refunded', amount: price });
      }
      expect(await balance(charge.buyer)).toBe(price);
      expect(await balance(charge.merchantId, 'merchant')).toBe(0);
      const known = { kind: 'captured', amount: price, refunded: price };
      expect(await wallet().start([charge])).toMatchObject([known]);
      expect(await wallet().lookUp([charge])).toMatchObject([known]);
    });

    it('A partial refund leaves the rest with the merchant, and the next part is another refund', async () => {
      const charge = chargeOf({ buyer: await buyerWith(1), merchantId: newMerchantId() });
      await wallet().start([charge]);
      const [first, again] = [refundOf(charge, { amount: 30 }), refundOf(charge, { amount: 30 })];
      const kept = { kind: 'refunded', amount: 30 };
      expect(await wallet().refund([first, again])).toMatchObject([kept, kept]);
      expect(await wallet().refund([again])).toMatchObject([kept]);
      expect(await balance(charge.buyer)).toBe(30);
      expect(await balance(charge.merchantId, 'merchant')).toBe(70);
      expect(await wallet().lookUp([charge])).toMatchObject([{ kind: 'captured', refunded: 30 }]);
      const rest = refundOf(charge, { number: 2, amount: 70 });
      expect(await wallet().refund([rest])).toMatchObject([{ kind: 'refunded', amount: 70 }]);
      expect(await balance(charge.buyer)).toBe(price);
    });

    it('Partial refunds at once are each made whole or not at all, never more than was captured', async () => {
      const charge = chargeOf({ buyer: await buyerWith(1), merchantId: newMerchantId() });
      await wallet().start([charge]);
      const parts = Array.from({ length: 40 }, (_, n) => {
        return refundOf(charge, { number: n + 1, amount: 7 });
      });
      // Each part is asked for twice, once in a batch with its neighbour.
      const answers = await Promise.all(
        parts.flatMap((part, n) => [
          wallet().refund([part]),
          wallet().refund([part, parts[(n + 1) % 40] as Refund]),
        ]),
      );
      const given = answers.flat().filter((answer) => answer.kind === 'refunded');
      const distinct = new Set(given.map((answer) => answer.refundReference));
      expect(distinct.size).toBe(Math.floor(price / 7));
      const refused = answers.flat().filter((answer) => answer.kind === 'failed');
      expect(refused.length + given.length).toBe(120);
      for (const { refundReference } of refused) expect(distinct).not.toContain(refundReference);
      const refunded = distinct.size * 7;
      expect(await balance(charge.buyer)).toBe(refunded);
      expect(await balance(charge.merchantId, 'merchant')).toBe(price - refunded);
      expect(await wallet().lookUp([charge])).toMatchObject([{ kind: 'captured', refunded }]);
      await expectBooksBalance();
    });

    it('A refund of a payment that was never captured moves no money', async () => {
      const declined = chargeOf({ buyer: await buyerWith(0) });
      await wallet().start([declined]);
      const answers = await wallet().refund([declined, chargeOf()].map((one) => refundOf(one)));
      expect(answers.map((answer) => answer.kind)).toEqual(['failed', 'failed']);
      expect(await balance(declined.buyer)).toBe(0);
    });

    it('A refund of a negative amount is an error of the caller and moves no money', async () => {
      const charge = chargeOf({ buyer: await buyerWith(1) });
      await wallet().start([charge]);
      await expect(wallet().refund([refundOf(charge, { amount: -30 })])).rejects.toThrow(/whole/);
      expect(await wallet().lookUp([charge])).toMatchObject([{ kind: 'captured', refunded: 0 }]);
    });
  });

  describe('Random operations at once', () => {
    it('Whatever is requested at once, no balance falls below zero, the books balance, and statements add up', async () => {
      const seed = testSeed('wallet at random');
      const numbers = fc.nat(1_000_000);
      const [steps = []] = fc.sample(fc.array(numbers, { minLength: 240, maxLength: 240 }), {
        seed,
        numRuns: 1,
      });
      const buyers = await Promise.all(Array.from({ length: 5 }, (_, n) => buyerWith(n * 3)));
      const merchants = [newMerchantId(), newMerchantId()];
      const charges = Array.from({ length: 40 }, (_, n) =>
        chargeOf({ buyer: buyers[n % 5] as string, merchantId: merchants[n % 2] as MerchantId }),
      );
      const some = (at: number) => charges.filter((_, n) => (at >> (n % 7)) % 3 === 0);
      let read = 0;

      async function step(number: number, n: number): Promise<void> {
        const batch = some(number);
        const buyer = buyers[number % 5] as string;
        const kind = number % 10;
        if (kind < 4) await wallet().start(n % 2 ? batch : batch.toReversed());
        else if (kind === 4) await wallet().close(batch.slice(0, 2));
        else if (kind === 5) await wallet().refund(batch.map((charge) => refundOf(charge)));
        else if (kind === 6 || kind === 7) {
          const amount = 1 + (number % 60);
          const part = { number: 2 + (number % 4), amount };
          await wallet().refund(batch.map((charge) => refundOf(charge, part)));
        } else if (kind === 8) {
          await ledger().accounts.topUp({ buyer, currency, amount: 50, reference: `${seed}:${n}` });
        } else read += await expectStatement(buyer);
      }

      await Promise.all(steps.map(step));
      expect(read).toBeGreaterThan(0);
      await expectBooksBalance();
      for (const buyer of buyers) {
        expect(await balance(buyer)).toBeGreaterThanOrEqual(0);
        await expectStatement(buyer);
      }
      const outcomes = await wallet().lookUp(charges);
      const kept = outcomes.map((outcome) => {
        return outcome.kind === 'captured' ? outcome.amount - (outcome.refunded ?? 0) : 0;
      });
      expect(Math.min(...kept)).toBeGreaterThanOrEqual(0);
      const takings = merchants.map((merchant) => balance(merchant, 'merchant'));
      const [one = 0, other = 0] = await Promise.all(takings);
      expect(kept.reduce((sum, amount) => sum + amount, 0)).toBe(one + other);
    });
  });

  /** Reads a buyer's statement and the pages of entries; gives how many entries there were. */
  async function expectStatement(buyer: string): Promise<number> {
    const ref = { kind: 'buyer' as const, owner: buyer, currency };
    const statement = await ledger().accounts.statement(ref);
    const read: Entry[] = [];
    for await (const entry of statement.entries) read.push(entry);
    let running = 0;
    for (const entry of read) {
      running += entry.amount;
      expect(entry.balance).toBe(running);
      expect(running).toBeGreaterThanOrEqual(0);
    }
    expect(running).toBe(statement.balance);
    const paged: Entry[] = [];
    let place: EntryPlace | undefined;
    do {
      const page = await ledger().accounts.entries(ref, { limit: 3, before: place });
      paged.push(...page.rows);
      place = page.next;
    } while (place);
    // What moved since stands in front of what the statement has, and changes none of it.
    expect(paged.toReversed().slice(0, read.length)).toEqual(read);
    return read.length;
  }
});

function factOf(outcome: Outcome): PaymentResult[] {
  const { reference, kind } = outcome;
  if (kind === 'captured') return [{ reference, state: kind, amount: outcome.amount }];
  return kind === 'declined' ? [{ reference, state: kind, reason: outcome.reason }] : [];
}

function sorted(outcomes: { reference: string }[]): string {
  return JSON.stringify(outcomes.toSorted((a, b) => (a.reference < b.reference ? -1 : 1)));
}
