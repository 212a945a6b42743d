import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { newMerchantId } from '../../../src/domain/ids.ts';
import { openPayments } from '../../../src/ledger/payments/payments.ts';
import { anItem } from '../../support/drops.ts';
import { eventually } from '../../support/eventually.ts';
import { aReference } from '../../support/ids.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { aCashier } from '../cashier.ts';
import { gate, openStage, type Stage } from '../stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

const price = anItem().unitAmount;
let names = 0;

async function aSale(overrides: Partial<Drop> = {}) {
  const cashier = aCashier();
  const desk = stage.settlement({ provider: cashier.provider });
  const drop = await stage.publish(overrides);
  const buyer = `payer-${++names}`;
  const [id] = await stage.reserve(drop, [buyer], { fund: 0 });
  const begin = async (scene = 'page') => {
    const begun = await desk.pay(id, { method: 'wallet', wish: { scene } });
    if (begun.kind !== 'begun') throw new Error(`not begun: ${begun.kind}`);
    return begun.payment.reference;
  };
  const settle = async () => (await desk.settle([id]))[0];
  const payments = () => stage.ledger.payments.ofOrders([id]);
  return { ...cashier, desk, drop, id, begin, settle, payments };
}

test('An order that its buyer has to pay waits, and no payment is begun without the buyer', async () => {
  const { settle, payments, desk, id } = await aSale();
  expect(await settle()).toEqual({ kind: 'waiting' });
  expect(await payments()).toEqual([]);
  expect(await desk.orders.peek(id)).toMatchObject({ state: 'reserved', awaits: 'payment' });
});

test('A payment that is begun twice is one payment', async () => {
  const { begin, payments } = await aSale();
  const references = await Promise.all([begin(), begin(), begin()]);
  expect(new Set([...references, await begin()]).size).toBe(1);
  expect(await payments()).toHaveLength(1);
});

test('A closed payment is looked up each time its order is settled, the last poll included', async () => {
  const { begin, settle, payments, pay, given, desk, id } = await aSale({ lateCapture: 'refund' });
  const reference = await begin();
  await desk.orders.cancel(id);
  expect((await payments())[0]).toMatchObject({ state: 'declined', reason: 'closed' });
  pay(reference);
  await stage.ledger.payments.endPolling([reference]);
  expect(await settle()).toEqual({ kind: 'released' });
  expect(await settle()).toEqual({ kind: 'released' });
  expect(given).toEqual([{ reference: `${reference}r1`, amount: price }]);
});

test('A closed payment that can still be paid is closed again', async () => {
  const { begin, settle, book, desk, id } = await aSale();
  const reference = await begin();
  const payable = book.get(reference);
  await desk.orders.cancel(id);
  // As at Alipay, where there is nothing to close before the buyer has opened the page.
  if (payable) book.set(reference, payable);
  expect(await settle()).toEqual({ kind: 'released' });
  expect(book.get(reference)).toMatchObject({ kind: 'declined', reason: 'closed' });
});

test('An order whose capture another process has recorded and not yet confirmed cannot be cancelled', async () => {
  const { begin, pay, provider, desk, id } = await aSale();
  pay(await begin());
  const recorded = gate();
  const other = stage.settlement({
    provider,
    onStep: (step) => (step === 'recorded' ? recorded.wait() : undefined),
  });
  const settling = other.settle([id]);
  await recorded.reached;
  expect(await desk.orders.cancel(id)).toMatchObject({ kind: 'refused', order: { state: 'paid' } });
  recorded.open();
  expect(await settling).toEqual([{ kind: 'paid' }]);
});

test('Of two captures for one order the first is kept and the other is refunded, once', async () => {
  const { begin, settle, payments, pay, given, provider, book } = await aSale();
  const first = await begin();
  book.set(first, { reference: first, kind: 'declined', reason: 'closed' });
  expect(await settle()).toEqual({ kind: 'waiting' });
  const second = await begin();
  expect(second).not.toBe(first);
  pay(second);
  expect(await settle()).toEqual({ kind: 'paid' });
  pay(first);
  for (let times = 1; times <= 3; times += 1) expect(await settle()).toEqual({ kind: 'paid' });
  expect(provider.name).toBe('wallet');
  expect(given).toEqual([{ reference: `${first}r1`, amount: price }]);
  const states = (await payments()).map(({ state }) => state).sort();
  expect(states).toEqual(['captured', 'refunded']);
});

test('A partial refund of a paid order stands when an earlier payment turns out to be captured', async () => {
  const { begin, settle, payments, pay, given, book, desk, id } = await aSale();
  const first = await begin();
  book.set(first, { reference: first, kind: 'declined', reason: 'closed' });
  await settle();
  const second = await begin();
  pay(second);
  expect(await settle()).toEqual({ kind: 'paid' });
  await desk.refunds.refundPart(id, {
    merchantId: newMerchantId(),
    amount: 700,
    key: 'k',
    reason: '',
  });
  pay(first);
  expect(await settle()).toEqual({ kind: 'paid' });
  expect(given).toEqual([
    { reference: `${second}r1`, amount: 700 },
    { reference: `${first}r1`, amount: price },
  ]);
  const kept = (await payments()).reduce((sum, one) => {
    return sum + one.amountCaptured - one.amountRefunded;
  }, 0);
  expect(kept).toBe(price - 700);
});

test('Of two captures that two workers record at the same moment, one is refunded', async () => {
  const { begin, settle, payments, pay, given, provider, book, id } = await aSale();
  const first = await begin();
  const closed = { reference: first, kind: 'declined', reason: 'closed' } as const;
  book.set(first, closed);
  await settle();
  const second = await begin();
  const asked = gate();
  const slow = stage.settlement({
    provider,
    onStep: (step) => (step === 'charged' ? asked.wait() : undefined),
  });
  pay(first);
  const answer = slow.settle([id]);
  await asked.reached;
  book.set(first, closed);
  pay(second);
  expect(await settle()).toEqual({ kind: 'paid' });
  asked.open();
  expect(await answer).toEqual([{ kind: 'paid' }]);
  expect(given).toEqual([{ reference: `${first}r1`, amount: price }]);
  expect((await payments()).map(({ state }) => state)).toEqual(['refunded', 'captured']);
});

test.each([
  ['amount', price - 1, 'CNY', price - 1],
  ['currency', price, 'USD', 0],
])('A capture of another %s pays for nothing', async (_, amount, currency, back) => {
  const { begin, settle, pay, given, id } = await aSale();
  pay(await begin(), amount, currency);
  await settle();
  expect(await stage.inLane(id)).toMatchObject({ state: 'reserved' });
  expect(given.map((refund) => refund.amount)).toEqual(back === 0 ? [] : [back]);
});

test('A payment that was closed while it was being begun cannot be paid', async () => {
  const cashier = aCashier();
  const begun = gate();
  const desk = stage.settlement({
    provider: {
      ...cashier.provider,
      // Opened at the provider, and the answer is on its way back.
      async start(charges) {
        await begun.wait();
        for (const { reference } of charges) cashier.book.delete(reference);
        return await cashier.provider.start(charges);
      },
    },
  });
  const [id] = await stage.reserve(await stage.publish(), [`payer-${++names}`], { fund: 0 });
  const paying = desk.pay(id, { method: 'wallet', wish: {} });
  await begun.reached;
  expect((await desk.orders.cancel(id)).kind).toBe('released');
  begun.open();
  expect(await paying).toEqual({ kind: 'unknown' });
  const [payment] = await stage.ledger.payments.ofOrders([id]);
  expect(payment).toMatchObject({ state: 'declined', reason: 'closed' });
  expect(cashier.book.get(payment?.reference ?? '')).toMatchObject({ kind: 'declined' });
});

test('A payment is closed before its hold ends, even when the worker’s clock is an hour behind', async () => {
  const cashier = aCashier();
  const behind = { now: () => Date.now() - 3_600_000 };
  const ledger = {
    ...stage.ledger,
    payments: openPayments(stage.ledger.database, behind),
  };
  const desk = stage.settlement({ provider: cashier.provider, ledger });
  await desk.start();
  const drop = await stage.publish({ holdMs: 3_000, lateCapture: 'refund' });
  const [id] = await stage.reserve(drop, [`payer-${++names}`], { fund: 0 });
  expect(await desk.pay(id, { method: 'wallet', wish: {} })).toMatchObject({ kind: 'begun' });
  const [payment] = await stage.ledger.payments.ofOrders([id]);
  const reference = aReference(payment?.reference);
  await eventually(() => cashier.book.get(reference)?.kind === 'declined');
  expect(await stage.inLane(id)).toMatchObject({ state: 'reserved' });
  await desk.stop();
});

test('A repeated partial refund is the same refund, even when the order has had another capture', async () => {
  const { begin, settle, pay, book, given, desk, id } = await aSale();
  const first = await begin();
  book.set(first, { reference: first, kind: 'declined', reason: 'closed' });
  await settle();
  const second = await begin();
  pay(second);
  expect(await settle()).toEqual({ kind: 'paid' });
  pay(first);
  await settle();
  expect(given).toEqual([{ reference: `${first}r1`, amount: price }]);
  const rest = { merchantId: newMerchantId(), amount: price, key: 'k', reason: '' };
  for (let times = 1; times <= 2; times += 1) {
    const asked = await desk.refunds.refundPart(id, rest);
    expect(asked).toMatchObject({ kind: 'asked', refund: { reference: `${second}r1` } });
  }
  expect(given).toHaveLength(2);
  expect(await stage.inLane(id)).toMatchObject({ state: 'refunded' });
});
