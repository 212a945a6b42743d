import { Queue } from 'bullmq';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectQueue } from '../../../src/inventory/redis-connections.ts';
import { paymentReference } from '../../../src/ledger/payments/row.ts';
import { aCharge, aRefund } from '../../support/charges.ts';
import { anItem } from '../../support/drops.ts';
import { eventually } from '../../support/eventually.ts';
import { anOrderId } from '../../support/ids.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { openStage, type Stage } from '../stage.ts';

let stage: Stage;
let settlement: ReturnType<Stage['settlement']>;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
  settlement = stage.settlement();
  await settlement.start();
});
afterAll(() => stage.close());

let names = 0;
const aBuyer = () => `buyer-${++names}`;
const buyers = (count: number) => Array.from({ length: count }, aBuyer);
const manyItems = [anItem({ allotment: 100 })];
const price = anItem().unitAmount;

test('An order whose job is lost by the queue is still settled', async () => {
  const connection = connectQueue(stage.redisUrl);
  const queue = new Queue('settle', { connection, prefix: `{${stage.namespace}}` });
  await queue.pause();
  const drop = await stage.publish({ items: manyItems });
  const ids = await stage.reserve(drop, buyers(10));
  for (const id of ids) await stage.reaches(id, 'reserved');
  await queue.obliterate({ force: true });
  await queue.resume();
  for (const id of ids) await stage.reaches(id, 'paid');
  await queue.close();
  connection.disconnect();
});

test('A cancelled drop releases every hold and refunds every payment, once', async () => {
  const drop = await stage.publish({ items: manyItems });
  const all = buyers(20);
  const ids = await stage.reserve(drop, all);
  for (const id of ids) await stage.reaches(id, 'paid');
  const holders = buyers(3);
  const held = await stage.reserve(drop, holders, { fund: 0 });
  const { merchantId } = drop;
  const acted = await stage.desk.publishing.act({ merchantId, drop: drop.id, action: 'cancel' });
  expect(acted.kind).toBe('done');
  for (const id of ids) await stage.reaches(id, 'refunded');
  for (const id of held) await stage.reaches(id, 'released');
  for (const buyer of all) {
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 1, kept: 0 });
  }
  const figures = await stage.figures({ drop: drop.id, lane: 0 });
  expect(figures).toMatchObject({ available: 100, held: 0, sold: 0 });
});

test('A refund interrupted after its decision is finished', async () => {
  const drop = await stage.publish();
  const [buyer = ''] = buyers(1);
  const [id] = await stage.reserve(drop, [buyer]);
  await stage.reaches(id, 'paid');
  await stage.ledger.payments.askRefund([paymentReference(id, 1)]);
  await stage.reaches(id, 'refunded');
  expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 1, kept: 0 });
});

test('A refund interrupted after the money was returned puts the unit on sale again', async () => {
  const drop = await stage.publish();
  const [buyer = ''] = buyers(1);
  const [id] = await stage.reserve(drop, [buyer]);
  await stage.reaches(id, 'paid');
  const reference = paymentReference(id, 1);
  await stage.ledger.payments.askRefund([reference]);
  await stage.wallet.refund([aRefund(reference, price)]);
  await stage.reaches(id, 'refunded');
  expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 1, kept: 0 });
});

test('A refund completed after its drop retired reaches the ledger', async () => {
  const drop = await stage.publish();
  const [id] = await stage.reserve(drop, [aBuyer()]);
  await stage.reaches(id, 'paid');
  await settlement.stop();
  const { merchantId } = drop;
  await stage.desk.publishing.act({ merchantId, drop: drop.id, action: 'end' });
  const reference = paymentReference(id, 1);
  await stage.ledger.payments.askRefund([reference]);
  await stage.wallet.refund([aRefund(reference, price)]);
  await eventually(() => stage.ledger.drops.retire(drop.id));
  await settlement.start();
  await stage.reaches(id, 'refunded');
});

test('A charge begun for an order that was released meanwhile is closed', async () => {
  const drop = await stage.publish();
  const [buyer = ''] = buyers(1);
  await settlement.stop();
  const [id] = await stage.reserve(drop, [buyer]);
  const { amount } = await stage.inLane(id);
  await stage.ledger.payments.begin([
    { orderId: id, drop: drop.id, provider: 'wallet', amount, currency: 'CNY' },
  ]);
  await stage.desk.orders.cancel(id);
  await settlement.start();
  await eventually(async () => {
    const [payment] = await stage.ledger.payments.ofOrders([id]);
    return payment?.state === 'declined';
  });
  const reference = paymentReference(id, 1);
  const late = { reference, orderId: id, buyer, merchantId: drop.merchantId, amount };
  const [outcome] = await stage.wallet.start([aCharge(late)]);
  expect(outcome).toMatchObject({ kind: 'declined', reason: 'closed' });
});

test('A capture for a released order is refunded', async () => {
  const drop = await stage.publish({ lateCapture: 'refund' });
  const [buyer = ''] = buyers(1);
  await settlement.stop();
  const [id] = await stage.reserve(drop, [buyer]);
  const { amount } = await stage.inLane(id);
  const charge = { orderId: id, amount, currency: 'CNY' };
  await stage.ledger.payments.begin([{ ...charge, drop: drop.id, provider: 'wallet' }]);
  const reference = paymentReference(id, 1);
  await stage.wallet.start([aCharge({ ...charge, reference, buyer, merchantId: drop.merchantId })]);
  await stage.desk.orders.cancel(id);
  await settlement.start();
  await eventually(async () => (await stage.money(buyer)).refunds === 1);
  expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 1, kept: 0 });
});

test('A merchant refunds a paid order once, and only a paid one', async () => {
  const drop = await stage.publish();
  const [buyer = '', other = ''] = buyers(2);
  const [id] = await stage.reserve(drop, [buyer]);
  await stage.reaches(id, 'paid');
  for (let times = 1; times <= 2; times += 1) {
    expect(await stage.desk.refunds.refund(id, '')).toMatchObject({ kind: 'asked', isDone: true });
  }
  expect(await stage.desk.orders.cancel(id)).toMatchObject({ kind: 'refused' });
  await stage.reaches(id, 'refunded');
  expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 1, kept: 0 });
  const [declined] = await stage.reserve(drop, [other], { fund: 0 });
  await stage.reaches(declined, 'released');
  expect(await stage.desk.refunds.refund(declined, '')).toMatchObject({ kind: 'refused' });
  const stranger = anOrderId(`${declined.slice(0, -22)}${'A'.repeat(22)}`);
  expect(await stage.desk.refunds.refund(stranger, '')).toEqual({ kind: 'unknown' });
  expect(await stage.desk.orders.read(stranger)).toBeUndefined();
});

test('Holds that end are released and their units are on sale again', async () => {
  const connection = connectQueue(stage.redisUrl);
  const queue = new Queue('settle', { connection, prefix: `{${stage.namespace}}` });
  await queue.pause();
  const drop = await stage.publish({ holdMs: 300, items: [anItem({ allotment: 1 })] });
  const [id] = await stage.reserve(drop, [aBuyer()]);
  const order = await stage.reaches(id, 'released');
  expect(order.reason).toBe('expired');
  expect(await stage.reserve(drop, buyers(1))).toHaveLength(1);
  await queue.resume();
  await queue.close();
  connection.disconnect();
});
