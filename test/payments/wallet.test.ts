import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Charge } from '../../src/payments/provider.ts';
import { openWallet } from '../../src/payments/wallet/wallet.ts';
import { onEachLedger } from '../support/ledgers.ts';
import { testSeed } from '../support/seed.ts';

const currency = 'CNY';
const price = 100;

onEachLedger((ledger) => {
  const wallet = () => openWallet({ database: ledger().database, accounts: ledger().accounts });

  function chargeOf(change: Partial<Charge> = {}): Charge {
    const orderId = `ord_${randomUUID()}`;
    const reference = `pay_${orderId}_1`;
    const merchantId = 'mer_wallet';
    return { reference, orderId, buyer: 'nobody', merchantId, amount: price, currency, ...change };
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

  async function capturedOf(references: string[]): Promise<number> {
    const outcomes = await wallet().lookUp(references);
    return outcomes.filter((outcome) => outcome.kind === 'captured').length;
  }

  describe('a charge', () => {
    it('of a hundred in parallel is captured just as often as the balance covers', async () => {
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

    it('of a hundred in one batch never overdraws either', async () => {
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

    it('under the same reference is captured once, one after the other or all at once', async () => {
      const charge = chargeOf({ buyer: await buyerWith(10) });
      const first = await wallet().start([charge, charge]);
      const more = await Promise.all(Array.from({ length: 20 }, () => wallet().start([charge])));
      for (const outcome of [...first, ...more.flat()]) {
        expect(outcome).toEqual({ reference: charge.reference, kind: 'captured', amount: price });
      }
      expect(await balance(charge.buyer)).toBe(9 * price);
    });

    it('that was declined stays declined after a top-up', async () => {
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

    it('in the batches of many workers, in opposite orders, is captured once, without deadlock', async () => {
      const buyers = await Promise.all(Array.from({ length: 200 }, () => buyerWith(2)));
      const charges = [0, 1, 2].flatMap(() =>
        buyers.map((buyer, n) => chargeOf({ buyer, merchantId: `mer_${n % 3}` })),
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
      expect(await capturedOf(charges.map((charge) => charge.reference))).toBe(400);
      for (const buyer of buyers) expect(await balance(buyer)).toBe(0);
      await expectBooksBalance();
    });

    it('of nothing is captured and moves nothing', async () => {
      const charge = chargeOf({ buyer: await buyerWith(0), amount: 0 });
      expect(await wallet().start([charge])).toMatchObject([{ kind: 'captured', amount: 0 }]);
      const [back] = await wallet().refund([{ reference: charge.reference, amount: 0, currency }]);
      expect(back).toMatchObject({ kind: 'refunded', amount: 0 });
    });
  });

  describe('a closed reference', () => {
    it('is never captured afterwards', async () => {
      const charge = chargeOf({ buyer: await buyerWith(1) });
      const closed = [{ reference: charge.reference, kind: 'declined', reason: 'closed' }];
      expect(await wallet().lookUp([charge.reference])).toMatchObject([{ kind: 'none' }]);
      expect(await wallet().close([charge.reference])).toEqual(closed);
      expect(await wallet().start([charge])).toEqual(closed);
      expect(await balance(charge.buyer)).toBe(price);
    });

    it('says so when the money was faster', async () => {
      const charge = chargeOf({ buyer: await buyerWith(1) });
      await wallet().start([charge]);
      expect(await wallet().close([charge.reference])).toMatchObject([{ kind: 'captured' }]);
    });

    it('is either captured or closed when both come at once, and both are told the same', async () => {
      const buyer = await buyerWith(50);
      const charges = Array.from({ length: 50 }, () => chargeOf({ buyer }));
      const answers = await Promise.all(
        charges.map(async (charge) => {
          const [[started], [closed]] = await Promise.all([
            wallet().start([charge]),
            wallet().close([charge.reference]),
          ]);
          return { started, closed };
        }),
      );
      for (const { started, closed } of answers) expect(started).toEqual(closed);
      const captured = answers.filter(({ started }) => started?.kind === 'captured').length;
      expect(await balance(buyer)).toBe((50 - captured) * price);
    });
  });

  describe('a refund', () => {
    it('gives the money back once, however often it is asked for', async () => {
      const charge = chargeOf({ buyer: await buyerWith(1), merchantId: randomUUID() });
      await wallet().start([charge]);
      const refund = { reference: charge.reference, amount: price, currency };
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => wallet().refund([refund, refund])),
      );
      for (const outcome of answers.flat()) {
        expect(outcome).toMatchObject({ kind: 'refunded', amount: price });
      }
      expect(await balance(charge.buyer)).toBe(price);
      expect(await balance(charge.merchantId, 'merchant')).toBe(0);
      expect(await wallet().start([charge])).toMatchObject([{ kind: 'refunded' }]);
    });

    it('of what was never captured gives nothing', async () => {
      const declined = chargeOf({ buyer: await buyerWith(0) });
      await wallet().start([declined]);
      const answers = await wallet().refund(
        [declined.reference, 'pay_unknown_1'].map((reference) => ({
          reference,
          amount: price,
          currency,
        })),
      );
      expect(answers.map((answer) => answer.kind)).toEqual(['none', 'none']);
      expect(await balance(declined.buyer)).toBe(0);
    });
  });

  it('charges, refunds, closes and top-ups at random leave the books balanced', async () => {
    const seed = testSeed('wallet at random');
    const rng = fc.sample(fc.array(fc.nat(1_000_000), { minLength: 400, maxLength: 400 }), {
      seed,
      numRuns: 1,
    })[0] as number[];
    const buyers = await Promise.all(Array.from({ length: 5 }, (_, n) => buyerWith(n * 3)));
    const charges = Array.from({ length: 40 }, (_, n) =>
      chargeOf({ buyer: buyers[n % 5] as string, merchantId: `mer_random_${n % 2}` }),
    );
    const some = (at: number) => charges.filter((_, n) => (at >> (n % 7)) % 3 === 0);
    await Promise.all(
      rng.slice(0, 200).map(async (number, n) => {
        const batch = some(number);
        const references = batch.map((charge) => charge.reference);
        if (number % 10 < 6) await wallet().start(n % 2 ? batch : batch.toReversed());
        else if (number % 10 < 7) await wallet().close(references.slice(0, 2));
        else if (number % 10 < 8) {
          await wallet().refund(
            references.map((reference) => ({ reference, amount: price, currency })),
          );
        } else {
          const buyer = buyers[number % 5] as string;
          await ledger().accounts.topUp({ buyer, currency, amount: 50, reference: `${seed}:${n}` });
        }
      }),
    );
    await expectBooksBalance();
    for (const buyer of buyers) expect(await balance(buyer)).toBeGreaterThanOrEqual(0);
  });
});

function sorted(outcomes: { reference: string }[]): string {
  return JSON.stringify(outcomes.toSorted((a, b) => (a.reference < b.reference ? -1 : 1)));
}
