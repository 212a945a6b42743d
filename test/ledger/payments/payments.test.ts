import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import type { PaymentReference } from '../../../src/domain/ids.ts';
import type { Order, OrderState } from '../../../src/domain/order.ts';
import { rolledBackIfUndefined } from '../../../src/ledger/database/database.ts';
import type { PaymentResult } from '../../../src/ledger/payments/results.ts';
import { openWallet } from '../../../src/payments/wallet/wallet.ts';
import { aCharge } from '../../support/charges.ts';
import { aReference } from '../../support/ids.ts';
import { onEachLedger } from '../../support/ledgers.ts';
import { testSeed } from '../../support/seed.ts';
import { createDrop, orderOf } from '../samples.ts';

onEachLedger((ledger) => {
  const payments = () => ledger().payments;

  const startOf = (order: Order) => ({
    orderId: order.id,
    drop: order.drop,
    provider: 'wallet',
    amount: order.amount,
    currency: 'CNY',
  });

  async function begun(drop: Drop, order = orderOf(drop)): Promise<PaymentReference> {
    const [payment] = await payments().begin([startOf(order)]);
    return aReference(payment?.reference);
  }

  describe('Payment attempts', () => {
    it('A payment is begun once for an attempt, however many workers begin it', async () => {
      const drop = await createDrop(ledger());
      const starts = Array.from({ length: 50 }, () => startOf(orderOf(drop)));
      const answers = await Promise.all(
        Array.from({ length: 6 }, (_, worker) =>
          payments().begin(worker % 2 ? starts : starts.toReversed()),
        ),
      );
      const all = answers.flat();
      expect(new Set(all.map((payment) => payment.reference)).size).toBe(50);
      expect(all.filter((payment) => payment.fresh)).toHaveLength(50);
      expect(answers[1]?.map((payment) => payment.orderId)).toEqual(
        starts.map((start) => start.orderId),
      );
    });

    it('A batch of payments is written with its captures and declines, or not at all', async () => {
      const drop = await createDrop(ledger());
      const [rich = '', poor = ''] = ['rich', 'poor'].map((name) => `${name}-of-${drop.id}`);
      const wallet = openWallet({ database: ledger().database, accounts: ledger().accounts });
      const purse = { currency: 'CNY', amount: 500_000, reference: rich };
      await ledger().accounts.topUp({ buyer: rich, ...purse });
      const balance = () =>
        ledger().accounts.balance({ kind: 'buyer', owner: rich, currency: 'CNY' });
      const charge = (orders: Order[]) =>
        rolledBackIfUndefined(ledger().database, async (query) => {
          const prepared = payments().prepare(orders.map(startOf));
          const charges = prepared.map((payment, n) => {
            const { buyer } = orders[n] as Order;
            const { reference, orderId, amount } = payment;
            return aCharge({ reference, orderId, amount, buyer, merchantId: drop.merchantId });
          });
          const outcomes = await wallet.startWithin?.(query, charges);
          const results = outcomes?.map((outcome): PaymentResult => {
            const { reference, kind } = outcome;
            if (kind === 'captured') return { reference, state: kind, amount: outcome.amount };
            return { reference, state: 'declined', reason: 'insufficient_funds' };
          });
          return results && (await payments().insertCharged(query, prepared, results));
        });
      const one = orderOf(drop, { buyer: rich });
      const other = orderOf(drop, { buyer: poor });
      const done = await charge([one, other]);
      expect(done).toMatchObject([
        { orderId: one.id, state: 'captured', amountCaptured: one.amount },
        { orderId: other.id, state: 'declined', reason: 'insufficient_funds', amountCaptured: 0 },
      ]);
      expect(await payments().find((done ?? []).map(({ reference }) => reference))).toEqual(
        expect.arrayContaining(done ?? []),
      );
      const left = await balance();

      const fresh = orderOf(drop, { buyer: rich });
      expect(await charge([fresh, one])).toBeUndefined();
      const open = orderOf(drop, { buyer: rich });
      await payments().begin([startOf(open)]);
      expect(await charge([fresh, open])).toBeUndefined();
      expect(await payments().ofOrders([fresh.id])).toEqual([]);
      expect(await balance()).toBe(left);
      expect(await ledger().accounts.trialBalance()).toMatchObject({ sum: 0, drifted: [] });
    });

    it('Each attempt of an order has a reference of its own', async () => {
      const order = orderOf(await createDrop(ledger()));
      const [first] = await payments().begin([startOf(order)]);
      const state = 'declined' as const;
      await payments().record([{ reference: aReference(first?.reference), state }]);
      await payments().begin([{ ...startOf(order), attempt: 2 }]);
      expect((await payments().ofOrders([order.id])).map((payment) => payment.reference)).toEqual([
        `pay_${order.id}_1`,
        `pay_${order.id}_2`,
      ]);
    });

    it('A payment ends the same way whatever the order, grouping and repetition of its results', async () => {
      const drop = await createDrop(ledger());
      const results: Omit<PaymentResult, 'reference'>[] = [
        { state: 'unknown' },
        { state: 'declined', reason: 'closed' },
        { state: 'captured', amount: 199_900 },
      ];
      const order = fc.shuffledSubarray([0, 1, 2, 0, 1, 2], { minLength: 6 });
      await fc.assert(
        fc.asyncProperty(order, fc.integer({ min: 1, max: 8 }), async (indexes, batchSize) => {
          const reference = await begun(drop);
          const all = indexes.map((n) => ({
            reference,
            ...(results[n] as (typeof results)[number]),
          }));
          for (let start = 0; start < all.length; start += batchSize) {
            await payments().record(all.slice(start, start + batchSize));
          }
          const [payment] = await payments().find([reference]);
          expect(payment).toMatchObject({ state: 'captured', amountCaptured: 199_900 });
          for (const at of [payment?.capturedAt, payment?.declinedAt]) {
            expect(at).toBeGreaterThan(0);
          }
        }),
        { seed: testSeed('results of a payment'), numRuns: 30 },
      );
    });

    it('A capture is not undone by a decline at the same moment', async () => {
      const drop = await createDrop(ledger());
      const references = await Promise.all(Array.from({ length: 20 }, () => begun(drop)));
      const results = (state: 'captured' | 'declined') =>
        references.map((reference) => ({ reference, state }));
      await Promise.all([
        payments().record(results('captured')),
        payments().record(results('declined').toReversed()),
        payments().record(results('captured').toReversed()),
        payments().record(results('declined')),
      ]);
      const found = await payments().find(references);
      expect(found.map((payment) => payment.state)).toEqual(references.map(() => 'captured'));
    });

    it('A result for an unknown payment changes nothing', async () => {
      expect(
        await payments().record([{ reference: aReference('pay_x_1'), state: 'captured' }]),
      ).toEqual([]);
    });
  });

  it('A decided refund is driven on at growing intervals until its money is back', async () => {
    const reference = await begun(await createDrop(ledger()));
    const all = { before: Number.MAX_SAFE_INTEGER, limit: 1_000 };
    const taken = async () =>
      (await payments().takeDueRefunds(all)).some((payment) => payment.reference === reference);
    const returned = async () =>
      (await payments().unfinishedRefunds(all)).some((payment) => payment.reference === reference);
    await payments().askRefund([reference]);
    expect(await taken()).toBe(false); // nothing was captured
    await payments().record([{ reference, state: 'captured' }]);
    await payments().askRefund([reference]);
    expect([await taken(), await taken(), await returned()]).toEqual([true, false, false]);
    const due = 'update refunds set try_at = 0 where payment = $1 returning tries';
    for (let tries = 1; tries <= 3; tries += 1) {
      expect(await ledger().database.query(due, [reference])).toEqual([{ tries }]);
      expect(await taken()).toBe(true);
    }
    await payments().recordRefunds([{ reference: `${reference}r1`, state: 'done' }]);
    await ledger().database.query(due, [reference]);
    expect([await taken(), await returned()]).toEqual([false, true]);
    await payments().finishRefunds([reference]);
    expect(await returned()).toBe(false);
  });

  it('Open or captured payments of a released order are found', async () => {
    const drop = await createDrop(ledger());
    const states: OrderState[] = ['released', 'released', 'released', 'paid'];
    const orders = states.map((state) => orderOf(drop, { state, version: 2 }));
    const [open, captured, declined, paid] = (await Promise.all(
      orders.map((order) => begun(drop, order)),
    )) as [PaymentReference, PaymentReference, PaymentReference, PaymentReference];
    await payments().record([
      { reference: captured, state: 'captured' },
      { reference: declined, state: 'declined' },
      { reference: paid, state: 'captured' },
    ]);
    await ledger().orders.upsert(orders.map((order) => ({ order, at: 1 })));
    const of = async (since: number) =>
      (
        await payments().unresolvedAfterRelease({
          since,
          before: Number.MAX_SAFE_INTEGER,
          limit: 1_000,
        })
      )
        .filter((payment) => payment.drop === drop.id)
        .map((payment) => payment.reference);
    expect((await of(0)).sort()).toEqual([open, captured].sort());
    expect(await of(2)).toEqual([]);
    // A payment with a poll ahead is left to polling.
    const ahead = 'update payments set look_at = 1 where reference = $1';
    await ledger().database.query(ahead, [open]);
    expect(await of(0)).toEqual([captured]);
  });

  describe('The audit of payments', () => {
    /** A drop with a paid, a released and a reserved order whose money is in order. */
    async function soundDrop() {
      const drop = await createDrop(ledger());
      const wallet = openWallet({ database: ledger().database, accounts: ledger().accounts });
      const orders = [orderOf(drop), orderOf(drop), orderOf(drop)] as [Order, Order, Order];
      const { buyer } = orders[0];
      const topUp = { buyer, currency: 'CNY', amount: 500_000, reference: buyer };
      await ledger().accounts.topUp(topUp);
      const begun = await payments().begin(orders.slice(0, 2).map(startOf));
      const outcomes = await wallet.start(
        begun.map(({ reference, orderId, amount }, n) => {
          const { buyer } = orders[n] as Order;
          return aCharge({ reference, orderId, amount, buyer, merchantId: drop.merchantId });
        }),
      );
      await payments().record(
        outcomes.map(({ reference, kind }) => ({ reference, state: kind as 'captured' })),
      );
      await ledger().orders.upsert([
        { order: { ...orders[0], state: 'paid', version: 2 }, at: 2 },
        {
          order: { ...orders[1], state: 'released', reason: 'insufficient_funds', version: 2 },
          at: 2,
        },
        { order: orders[2], at: 1 },
      ]);
      return { drop, orders, reference: aReference(begun[0]?.reference) };
    }

    it('The audit finds no breach in a sound ledger, and counts the units', async () => {
      const { drop } = await soundDrop();
      expect(await ledger().audit.items(drop.id)).toMatchObject([
        { sku: 'phone', reserved: 1, paid: 1, released: 1, refunded: 0, amountPaid: 199_900 },
        { sku: 'case', reserved: 0, paid: 0 },
      ]);
      expect(await ledger().audit.mismatches(drop.id)).toEqual([]);
      expect(await ledger().audit.walletMismatches(drop.id)).toEqual([]);
      expect(await ledger().audit.overLimit(drop.id)).toEqual([]);
      const now = drop.startsAt + drop.holdMs;
      expect(await ledger().audit.overdue(drop.id, { now, graceMs: 0 })).toEqual([]);
    });

    it('The audit finds an order that stays reserved after its hold and the grace', async () => {
      const { drop, orders } = await soundDrop();
      const now = drop.startsAt + drop.holdMs + 1_001;
      expect(await ledger().audit.overdue(drop.id, { now, graceMs: 1_001 })).toEqual([]);
      expect(await ledger().audit.overdue(drop.id, { now, graceMs: 1_000 })).toEqual([
        { orderId: orders[2].id, expiresAt: orders[2].expiresAt },
      ]);
    });

    it('The audit finds a buyer above the limit of an item', async () => {
      const { drop, orders } = await soundDrop();
      const { buyer } = orders[2];
      const more = [orderOf(drop, { buyer }), orderOf(drop, { buyer })];
      await ledger().orders.upsert(more.map((order) => ({ order, at: 3 })));
      expect(await ledger().audit.overLimit(drop.id)).toEqual([
        { buyer, item: 0, units: 3, perBuyer: 2 },
      ]);
    });

    it('The audit finds an order paid without money, an order paid twice, and money without an order', async () => {
      const { drop, orders, reference } = await soundDrop();
      const [paid, , reserved] = orders;
      const unpaid = orderOf(drop, { state: 'paid', version: 2 });
      await ledger().orders.upsert([{ order: unpaid, at: 4 }]);
      const again = { ...startOf(paid), attempt: 2 };
      const lost = startOf(orderOf(drop));
      const extra = await payments().begin([again, lost]);
      await payments().record(extra.map((p) => ({ reference: p.reference, state: 'captured' })));
      const found = await ledger().audit.mismatches(drop.id);
      expect(found.map((row) => row.orderId).sort()).toEqual(
        [paid.id, unpaid.id, lost.orderId].sort(),
      );
      expect(found.find((row) => row.orderId === paid.id)).toMatchObject({ captures: 2 });
      const book = await ledger().audit.walletMismatches(drop.id);
      expect(book.map((row) => row.wallet)).toEqual(['none', 'none']);
      expect(book.map((row) => row.reference)).not.toContain(reference);
      expect(found.map((row) => row.orderId)).not.toContain(reserved.id);
    });
  });
});
