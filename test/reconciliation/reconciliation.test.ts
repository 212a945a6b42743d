import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newMerchantId, parseOrderId } from '../../src/domain/ids.ts';
import type { PaymentProvider } from '../../src/payments/provider.ts';
import type { ReconciliationReport } from '../../src/reconciliation/report.ts';
import { newCharge, newRefund } from '../payments/stripe-shop.ts';
import { aCharge } from '../support/charges.ts';
import { anItem } from '../support/drops.ts';
import { anOrderId, aReference } from '../support/ids.ts';
import { type Books, openBooks, toldOf } from './stage.ts';

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books?.close());

const price = anItem().unitAmount;
const place = (id: string) => parseOrderId(id) as NonNullable<ReturnType<typeof parseOrderId>>;
const hour = 3_600_000;

function unreadableIn({ differences }: ReconciliationReport): string[] {
  const unreadable = differences.filter(({ kind }) => kind === 'lane_unreadable');
  return unreadable.map(({ lane, done }) => `${lane} ${done}`);
}

test('A clean sale gives no difference', async () => {
  const drop = await books.publish();
  await books.sell(drop);
  const [id] = await books.stage.reserve(drop, ['by wallet']);
  await books.stage.reaches(id, 'paid');
  await books.begin(drop);
  const report = await books.desk.reconcile();
  expect(report).toMatchObject({ outcome: 'clean', differences: [], notCompared: [] });
  expect(report.compared).toEqual({ payments: 3, orders: 3, billLines: 1, foreignBillLines: 0 });
});

test('A payment that is settled between the two comparisons is no difference', async () => {
  const { id, reference } = await books.begin(await books.publish());
  await books.simulator.pay(reference);
  let looks = 0;
  const late: PaymentProvider = {
    ...books.stripe,
    async lookUp(payments) {
      const outcomes = await books.stripe.lookUp(payments);
      // The ledger has been read: what it has now shows at the next look.
      if (payments.some((payment) => payment.reference === reference) && looks++ === 0) {
        await books.settle(id);
      }
      return outcomes;
    },
  };
  const report = await books.engine([books.stage.wallet, late]).reconcile();
  expect(looks).toBe(2);
  expect(toldOf(report, id)).toEqual([]);
});

describe('a capture that the ledger missed', () => {
  test('A capture without a notification is recorded and its order is paid', async () => {
    const { id, reference } = await books.begin(await books.publish());
    await books.simulator.pay(reference);
    const report = await books.desk.reconcile();
    expect(toldOf(report, id)).toEqual(['capture_missed repaired']);
    expect(report.differences.find(({ order }) => order === id)).toMatchObject({
      payment: reference,
      provider: 'stripe',
      says: { ledger: `started, ${price} CNY`, provider: `captured ${price} CNY` },
    });
    expect(await books.stage.reaches(id, 'paid')).toBeTruthy();
    expect(toldOf(await books.desk.reconcile(), id)).toEqual([]);
  });

  test('A missed capture whose unit is gone is refunded once, also when several processes reconcile at once', async () => {
    const drop = await books.publish({ lateCapture: 'refund' });
    const { id, reference } = await books.begin(drop);
    await books.simulator.pay(reference);
    // As if it had been closed, and looked at to the end.
    await books.sql(
      `update payments set state = 'declined', reason = 'closed', look_at = null
       where reference = $1`,
      [reference],
    );
    await books.lanes.release(place(id), [{ digest: place(id).digest, reason: 'expired' }]);
    await books.stage.reaches(id, 'released');
    const engines = [books.engine(), books.engine(), books.engine()];
    const reports = await Promise.all(engines.map((engine) => engine.reconcile()));
    const told = reports.flatMap((report) => toldOf(report, id));
    expect(told.length).toBeGreaterThan(0);
    expect(new Set(told)).toEqual(new Set(['capture_missed repaired']));
    const charge = await books.simulator.charge(reference);
    expect(charge?.refunds).toMatchObject([{ amount: price }]);
    expect(await books.payment(reference)).toMatchObject({ state: 'refunded' });
    expect(toldOf(await books.desk.reconcile(), id)).toEqual([]);
  });

  test('A missed second capture of an order is refunded once', async () => {
    const drop = await books.publish();
    const { id, reference } = await books.sell(drop);
    const start = {
      orderId: id,
      drop: drop.id,
      provider: 'stripe',
      amount: price,
      currency: 'CNY',
    };
    const [second] = await books.ledger.payments.begin([{ ...start, attempt: 2 }]);
    if (!second?.fresh) throw new Error('no second attempt');
    const { reference: again, startedAt } = second;
    await books.stripe.start([newCharge({ reference: again, startedAt, orderId: id })]);
    await books.simulator.pay(again);
    const report = await books.desk.reconcile();
    expect(toldOf(report, id)).toEqual(['capture_missed repaired']);
    expect((await books.simulator.charge(again))?.refunds).toMatchObject([{ amount: price }]);
    expect((await books.simulator.charge(reference))?.refunds).toEqual([]);
    expect(await books.stage.inLane(id)).toMatchObject({ state: 'paid' });
  });

  test('A recorded second capture of an order is refunded once, and the order stays paid', async () => {
    const drop = await books.publish();
    const { id, reference } = await books.sell(drop);
    const start = {
      orderId: id,
      drop: drop.id,
      provider: 'stripe',
      amount: price,
      currency: 'CNY',
    };
    const [second] = await books.ledger.payments.begin([{ ...start, attempt: 2 }]);
    const { startedAt = 0 } = second ?? {};
    const again = aReference(second?.reference);
    await books.stripe.start([newCharge({ reference: again, startedAt, orderId: id })]);
    await books.simulator.pay(again);
    await books.ledger.payments.record([{ reference: again, state: 'captured', amount: price }]);
    const report = await books.desk.reconcile();
    expect(toldOf(report, id)).toEqual(['captured_twice repaired']);
    const charges = await Promise.all([reference, again].map(books.simulator.charge));
    expect(charges.flatMap((charge) => charge?.refunds ?? [])).toMatchObject([{ amount: price }]);
    expect(await books.stage.inLane(id)).toMatchObject({ state: 'paid' });
  });
});

describe('differences that only one side has', () => {
  test('A capture under a reference that the ledger does not have is an alarm', async () => {
    const charge = newCharge();
    await books.stripe.start([charge]);
    await books.simulator.pay(charge.reference);
    const report = await books.desk.reconcile();
    expect(toldOf(report, charge.reference)).toEqual(['unknown_capture alarm']);
    const found = report.differences.find(({ payment }) => payment === charge.reference);
    expect(found?.says.provider).toMatch(/^capture \S+ of 199900 CNY at /);
    expect(report.outcome).toBe('alarm');
  });

  test('A payment whose row is lost is an alarm, both for its order and in the bill', async () => {
    const { id, reference } = await books.sell(await books.publish());
    await books.sql('delete from payments where reference = $1', [reference]);
    const report = await books.desk.reconcile();
    expect(toldOf(report, id, reference)).toEqual([
      'paid_without_capture alarm',
      'unknown_capture alarm',
    ]);
  });

  test('A charge in the wallet’s own book without a payment is an alarm', async () => {
    const reference = aReference(`pay_ord_abcdefghjkmn_0_${randomBytes(11).toString('hex')}_1`);
    const owners = { orderId: anOrderId(), buyer: 'stranger', merchantId: newMerchantId() };
    await books.stage.wallet.start([aCharge({ reference, ...owners, amount: 0 })]);
    expect(toldOf(await books.desk.reconcile(), reference)).toEqual(['unknown_capture alarm']);
  });

  test('A capture that the provider does not have is an alarm', async () => {
    const drop = await books.publish();
    const id = await books.reserve(drop);
    const [begun] = await books.ledger.payments.begin([
      { orderId: id, drop: drop.id, provider: 'stripe', amount: price, currency: 'CNY' },
    ]);
    const reference = aReference(begun?.reference);
    await books.ledger.payments.record([{ reference, state: 'captured', amount: price }]);
    await books.lanes.confirm(place(id), [place(id).digest]);
    await books.stage.reaches(id, 'paid');
    expect(toldOf(await books.desk.reconcile(), id)).toEqual(['capture_denied alarm']);
  });

  test('An order that its lane has lost is an alarm', async () => {
    const { id } = await books.sell(await books.publish());
    await books.forget(id);
    expect(toldOf(await books.desk.reconcile(), id)).toEqual(['order_not_in_lane alarm']);
  });

  test('A lane that cannot be read is one alarm and named as not compared, its orders are not taken for lost, the others are compared, and so is all after it can be', async () => {
    const [broken, sound] = [await books.publish(), await books.publish()];
    const { id } = await books.sell(broken);
    await books.sell(broken);
    const lost = await books.sell(sound);
    await books.forget(lost.id);
    const { redis, key } = books.stage;
    const orders = key(place(id), 'orders');
    await redis.rename(orders, `${orders}:kept`);
    await redis.set(orders, 'no hash');
    await books.sql("update reconciliations set places = 'no json', report = '{'", []);
    const report = await books.desk.reconcile();
    expect(toldOf(report, id)).toEqual([]);
    expect(toldOf(report, lost.id)).toEqual(['order_not_in_lane alarm']);
    expect(report.notCompared).toContainEqual(
      expect.objectContaining({ what: `the lanes of ${broken.id}` }),
    );
    expect(unreadableIn(report)).toEqual([`lane 0 of ${broken.id} alarm`]);
    expect(report.outcome).toBe('alarm');
    await redis.rename(`${orders}:kept`, orders);
    const after = await books.desk.reconcile();
    expect(toldOf(after, id)).toEqual([]);
    expect(after.notCompared).toEqual([]);
    expect(unreadableIn(after)).toEqual([]);
  });

  test.for([
    ['when a difference in it is compared again', 2],
    ['after it was compared again', 3],
  ] as const)(
    'A lane that cannot be read %s leaves the difference an alarm, not repaired',
    async ([, look]) => {
      const { id, reference } = await books.sell(await books.publish());
      await books.forget(id);
      // Its repair makes the run compare what differed a third time.
      const missed = await books.begin(await books.publish());
      await books.simulator.pay(missed.reference);
      const { redis, key } = books.stage;
      let looks = 0;
      const breaking: PaymentProvider = {
        ...books.stripe,
        async lookUp(payments) {
          const isAsked = payments.some((payment) => payment.reference === reference);
          if (isAsked) looks += 1;
          if (looks === look) await redis.set(key(place(id), 'orders'), 'no hash');
          return await books.stripe.lookUp(payments);
        },
      };
      const report = await books.engine([books.stage.wallet, breaking]).reconcile();
      await redis.del(key(place(id), 'orders'));
      expect(looks).toBe(3);
      expect(toldOf(report, missed.id)).toEqual(['capture_missed repaired']);
      expect(toldOf(report, id)).toEqual(['order_not_in_lane alarm']);
    },
  );

  test('An order that the ledger has lost is an alarm', async () => {
    const { id } = await books.sell(await books.publish());
    await books.sql('delete from orders where id = $1', [id]);
    expect(toldOf(await books.desk.reconcile(), id)).toEqual(['order_not_in_ledger alarm']);
  });

  test('An order that the ledger has lost with its payment is an alarm', async () => {
    const [id] = await books.stage.reserve(await books.publish(), ['nobody knows']);
    await books.stage.reaches(id, 'paid');
    await books.sql('delete from payments where order_id = $1', [id]);
    await books.sql('delete from wallet_charges where order_id = $1', [id]);
    await books.sql('delete from orders where id = $1', [id]);
    expect(toldOf(await books.desk.reconcile(), id)).toEqual([
      'order_not_in_ledger alarm',
      'paid_without_capture alarm',
    ]);
  });

  test('Money for an order that exists nowhere is an alarm', async () => {
    const { id } = await books.sell(await books.publish());
    await books.sql('delete from orders where id = $1', [id]);
    await books.forget(id);
    expect(toldOf(await books.desk.reconcile(), id)).toEqual(['payment_without_order alarm']);
  });
});

describe('differences between what the sides have', () => {
  test.each([
    ['amount', 'amount_captured = amount_captured - 1', ['amount_differs alarm']],
    ['currency', "currency = 'USD'", ['currency_differs alarm']],
  ])('the %s', async (_, change, told) => {
    const { id, reference } = await books.sell(await books.publish());
    await books.sql(`update payments set ${change} where reference = $1`, [reference]);
    const report = await books.desk.reconcile();
    expect(toldOf(report, id)).toEqual(told);
    await books.sql('delete from payments where reference = $1', [reference]);
  });

  test("An order in another state is an alarm once the ledger has read all entries of its lane's outbox", async () => {
    const { id } = await books.sell(await books.publish());
    await books.sql(`update orders set state = 'released' where id = $1`, [id]);
    const report = await books.desk.reconcile();
    expect(toldOf(report, id)).toEqual(['order_differs alarm']);
    expect(report.differences.find(({ order }) => order === id)?.says).toMatchObject({
      lane: `paid for ${price}`,
      ledger: `released for ${price}`,
    });
  });

  test('Money that the provider refunded without a request is an alarm', async () => {
    const { id, reference } = await books.sell(await books.publish());
    const startedAt = (await books.payment(reference))?.startedAt ?? 0;
    await books.stripe.refund([newRefund(newCharge({ reference, startedAt }), 7, 100)]);
    expect(toldOf(await books.desk.reconcile(), id, reference)).toEqual([
      'refunded_outside alarm',
      'unknown_refund alarm',
    ]);
  });

  test('A refund that is done in the ledger and not at the provider is an alarm', async () => {
    const { id, reference } = await books.sell(await books.publish());
    const part = { payment: reference, amount: 100, key: 'k', reason: '' };
    await books.ledger.payments.askPartialRefund(part);
    await books.ledger.payments.recordRefunds([{ reference: `${reference}r1`, state: 'done' }]);
    expect(toldOf(await books.desk.reconcile(), id)).toEqual(['refund_denied alarm']);
  });
});

describe('a refund', () => {
  /** A part of a sold order's money, asked for and left lying. */
  async function asked(agoMs: number) {
    const { id, reference } = await books.sell(await books.publish());
    await books.ledger.payments.askPartialRefund({
      payment: reference,
      amount: 100,
      key: 'k',
      reason: '',
    });
    await books.sql('update refunds set asked_at = asked_at - $2 where payment = $1', [
      reference,
      agoMs,
    ]);
    return { id, reference };
  }

  test('A stuck refund is asked for again, once', async () => {
    const { id, reference } = await asked(hour);
    expect(toldOf(await books.desk.reconcile(), id)).toEqual(['refund_stuck repaired']);
    const charge = await books.simulator.charge(reference);
    expect(charge?.refunds).toMatchObject([{ amount: 100 }]);
    expect(toldOf(await books.desk.reconcile(), id)).toEqual([]);
  });

  test('A refund that was asked for just now is no difference', async () => {
    const { id } = await asked(0);
    expect(toldOf(await books.desk.reconcile(), id)).toEqual([]);
  });

  test.each(['dealt_with_at', 'given_up_at'])(
    'A failed refund is an alarm until an operator has set %s',
    async (column) => {
      const { id, reference } = await asked(0);
      const fact = { reference: `${reference}r1`, state: 'failed' as const, note: 'card expired' };
      await books.ledger.payments.recordRefunds([fact]);
      const report = await books.desk.reconcile({ sinceHours: 1 });
      expect(toldOf(report, id)).toEqual(['refund_failed alarm']);
      await books.sql(`update refunds set ${column} = 1 where payment = $1`, [reference]);
      expect(toldOf(await books.desk.reconcile(), id)).toEqual([]);
    },
  );

  test('A refund that is noted as paid in another way and that its provider goes on with is an alarm', async () => {
    const { id, reference } = await asked(0);
    const fact = { reference: `${reference}r1`, state: 'failed' as const };
    await books.ledger.payments.recordRefunds([fact]);
    await books.sql('update refunds set dealt_with_at = 1 where payment = $1', [reference]);
    const pending = { ...fact, state: 'pending' as const };
    await books.ledger.payments.recordRefunds([pending], { checked: true });
    expect(toldOf(await books.desk.reconcile(), id)).toContain('refund_paid_twice alarm');
  });

  test('A refund of which the provider does not tell for an hour what became of it is an alarm of its own', async () => {
    const { id, reference } = await asked(2 * hour);
    const fact = { reference: `${reference}r1`, state: 'failed' as const, note: 'card expired' };
    await books.ledger.payments.recordRefunds([fact]);
    const lookUpRefunds = () => Promise.reject(new Error('no answer'));
    const engine = books.engine([books.stage.wallet, { ...books.stripe, lookUpRefunds }]);
    expect(toldOf(await engine.reconcile(), id)).toEqual(['refund_unknown alarm']);
  });

  test('A refund whose units are back and whose money is not is made, once', async () => {
    const { id, reference } = await books.sell(await books.publish());
    await books.lanes.refund(place(id), [place(id).digest]);
    await books.stage.reaches(id, 'refunded');
    const engines = [books.engine(), books.engine()];
    const reports = await Promise.all(engines.map((engine) => engine.reconcile()));
    const told = reports.flatMap((report) => toldOf(report, id));
    expect(new Set(told)).toEqual(new Set(['captured_not_sold repaired']));
    expect((await books.simulator.charge(reference))?.refunds).toMatchObject([{ amount: price }]);
  });

  test('A refund whose money is back and whose units are not is finished', async () => {
    const { id, reference } = await books.sell(await books.publish());
    await books.ledger.payments.askRefund([reference]);
    const startedAt = (await books.payment(reference))?.startedAt ?? 0;
    await books.stripe.refund([newRefund(newCharge({ reference, startedAt }), 1, price)]);
    await books.ledger.payments.recordRefunds([{ reference: `${reference}r1`, state: 'done' }]);
    expect(toldOf(await books.desk.reconcile(), id)).toEqual(['refund_unfinished repaired']);
    expect(await books.stage.reaches(id, 'refunded')).toBeTruthy();
  });

  test('A refund that is finished after its drop retired makes the drop active, so that the ledger hears of it', async () => {
    const drop = await books.publish();
    const { id, reference } = await books.sell(drop);
    await books.ledger.payments.askRefund([reference]);
    const startedAt = (await books.payment(reference))?.startedAt ?? 0;
    await books.stripe.refund([newRefund(newCharge({ reference, startedAt }), 1, price)]);
    await books.ledger.payments.recordRefunds([{ reference: `${reference}r1`, state: 'done' }]);
    const { merchantId } = drop;
    await books.desk.publishing.act({ merchantId, drop: drop.id, action: 'end' });
    expect(await books.ledger.drops.retire(drop.id)).toBe(true);
    expect(toldOf(await books.desk.reconcile(), id)).toEqual(['refund_unfinished repaired']);
    expect((await books.ledger.drops.active()).map((active) => active.id)).toContain(drop.id);
    await books.stage.reaches(id, 'refunded');
  });
});

test('A top-up that was paid and not credited is credited, once', async () => {
  const buyer = `buyer-${randomBytes(6).toString('hex')}`;
  const wanted = { buyer, amount: 5_000, currency: 'CNY', key: 'k', method: 'stripe', wish: {} };
  const begun = await books.desk.topUps.start(wanted);
  if (begun.kind !== 'begun') throw new Error(`not begun: ${begun.kind}`);
  const [payment] = await books.ledger.payments.ofOrders([begun.topUp.id]);
  const reference = aReference(payment?.reference);
  await books.simulator.pay(reference);
  await books.ledger.payments.record([{ reference, state: 'captured', amount: 5_000 }]);
  const told = toldOf(await books.desk.reconcile(), begun.topUp.id);
  expect(told).toEqual(['topup_not_credited repaired']);
  await books.desk.reconcile();
  const account = { kind: 'buyer' as const, owner: buyer, currency: 'CNY' };
  expect(await books.ledger.accounts.balance(account)).toBe(5_000);
});

describe('what cannot be compared', () => {
  test('A provider that does not answer is one alarm, and its unreadable bill is another', async () => {
    await books.begin(await books.publish());
    await books.simulator.faults({ refuse: 1 });
    const report = await books.desk.reconcile().finally(async () => {
      await books.simulator.faults({ refuse: 0 });
    });
    const silent = report.differences.filter(({ provider }) => provider === 'stripe');
    const kinds = silent.filter(({ order }) => order === '').map(({ kind }) => kind);
    expect(kinds.sort()).toEqual(['bill_unreadable', 'provider_silent']);
  });

  test('A provider that is no longer configured is an alarm', async () => {
    const report = await books.engine([books.stage.wallet]).reconcile();
    const silent = report.differences.find(({ kind }) => kind === 'provider_silent');
    expect(silent).toMatchObject({
      provider: 'stripe',
      done: 'alarm',
      says: { provider: 'not configured any more' },
    });
  });

  test('The report lists a bill that is not made yet, and a provider that has none', async () => {
    const { bill: _, ...unbilled } = books.stripe;
    const daily = { ...books.stripe, name: 'daily', billedUntil: (now: number) => now - 24 * hour };
    const providers = [books.stage.wallet, { ...unbilled, name: 'unbilled' }, daily];
    const { notCompared } = await books.engine(providers).reconcile();
    expect(notCompared).toEqual([
      { what: 'the bill of unbilled', why: expect.stringMatching(/^unbilled has no bill/) },
      { what: expect.stringMatching(/^the bill of daily since /), why: 'it is not made yet' },
    ]);
  });
});
