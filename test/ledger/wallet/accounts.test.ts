import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { AccountRef } from '../../../src/ledger/wallet/account.ts';
import type { BuyerRef } from '../../../src/ledger/wallet/entries.ts';
import { onEachLedger } from '../../support/ledgers.ts';

const currency = 'CNY';

onEachLedger((ledger) => {
  const buyerRef = (): BuyerRef => ({ kind: 'buyer', owner: randomUUID(), currency });

  /** Posts one transfer between two owners' accounts. */
  async function pay(debit: AccountRef, credit: AccountRef, amount: number, reference: string) {
    await ledger().database.transaction(async (query) => {
      const locked = await ledger().accounts.lock(query, [debit, credit]);
      await ledger().accounts.post(query, [
        { kind: 'capture', reference, debit: locked(debit).id, credit: locked(credit).id, amount },
      ]);
    });
  }

  describe('Top-ups', () => {
    it('A top-up counts once for its reference, also when repeated at once', async () => {
      const { owner: buyer } = buyerRef();
      const topUp = { buyer, currency, amount: 500, reference: randomUUID() };
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => ledger().accounts.topUp(topUp)),
      );
      expect(answers).toEqual(Array.from({ length: 20 }, () => ({ kind: 'done', balance: 500 })));
    });

    it('A top-up under the reference of another one is refused', async () => {
      const [a, b] = [buyerRef(), buyerRef()];
      const reference = randomUUID();
      await ledger().accounts.topUp({ buyer: a.owner, currency, amount: 500, reference });
      const others = [
        { buyer: b.owner, currency, amount: 500, reference },
        { buyer: a.owner, currency, amount: 501, reference },
      ];
      for (const other of others) {
        expect(await ledger().accounts.topUp(other)).toEqual({ kind: 'reused' });
      }
      expect(await ledger().accounts.balance(a)).toBe(500);
      expect(await ledger().accounts.balance(b)).toBe(0);
    });
  });

  describe('Constraints of the database', () => {
    it("refuses to take a buyer's balance below zero", async () => {
      const buyer = buyerRef();
      const merchant: AccountRef = { kind: 'merchant', owner: randomUUID(), currency };
      await ledger().accounts.topUp({
        buyer: buyer.owner,
        currency,
        amount: 10,
        reference: randomUUID(),
      });
      const reference = randomUUID();
      await expect(pay(buyer, merchant, 11, reference)).rejects.toThrow(/accounts_no_overdraft/);
      await pay(buyer, merchant, 10, reference);
      await expect(pay(merchant, buyer, 5, reference)).rejects.toThrow(/transfers_pkey/);
      expect(await ledger().accounts.balance(buyer)).toBe(0);
      expect(await ledger().accounts.balance(merchant)).toBe(10);
    });

    it('The database refuses a transfer of zero, of a negative amount, and to the same account', async () => {
      const [a, b] = [buyerRef(), buyerRef()];
      await expect(pay(a, b, 0, randomUUID())).rejects.toThrow(/transfers_amount/);
      await expect(pay(a, b, -5, randomUUID())).rejects.toThrow(/whole number/);
      await expect(pay(a, b, 0.5, randomUUID())).rejects.toThrow(/whole number/);
      await expect(pay(a, a, 5, randomUUID())).rejects.toThrow(/transfers_check/);
    });
  });

  it('Entries show each movement with the balance after it, page by page', async () => {
    const buyer = buyerRef();
    for (const amount of [10, 20, 30, 40]) {
      const reference = randomUUID();
      await ledger().accounts.topUp({ buyer: buyer.owner, currency, amount, reference });
    }
    await pay(buyer, { kind: 'merchant', owner: 'mer_entries', currency }, 25, randomUUID());
    const first = await ledger().accounts.entries(buyer, { limit: 3 });
    const second = await ledger().accounts.entries(buyer, { limit: 3, before: first.next });
    expect([...first.rows, ...second.rows].map(({ amount, balance }) => [amount, balance])).toEqual(
      [
        [-25, 75],
        [40, 100],
        [30, 60],
        [20, 30],
        [10, 10],
      ],
    );
    expect(second.next).toBeUndefined();
    expect(await ledger().accounts.ofBuyer(buyer.owner)).toMatchObject([{ currency, balance: 75 }]);
  });

  it('A balance that differs from the sum of its transfers is found', async () => {
    const buyer = buyerRef();
    await ledger().accounts.topUp({
      buyer: buyer.owner,
      currency,
      amount: 7,
      reference: buyer.owner,
    });
    const shift = (by: number) =>
      ledger().database.query(
        'update accounts set balance = balance + $2 where kind = $3 and owner = $1',
        [buyer.owner, by, 'buyer'],
      );
    await shift(1);
    expect(await ledger().accounts.trialBalance()).toMatchObject({
      sum: 1,
      drifted: [{ owner: buyer.owner, balance: 8 }],
    });
    await shift(-1);
    expect(await ledger().accounts.trialBalance()).toMatchObject({ sum: 0, drifted: [] });
  });
});
