import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestEngine, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { sharedRedisUrl } from '../support/redis.ts';
import { openSale, price, purse, type SaleOptions } from '../support/sale.ts';
import { openStallingWallet } from '../support/stalling.ts';

const stalling = openStallingWallet();
let engine: TestEngine;
let address: string;
beforeAll(async () => {
  const { provider } = stalling;
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settings: { demo: true },
    provider,
  });
  address = await engine.serve();
});
afterAll(() => engine?.stop());

async function aSale(options: SaleOptions) {
  const { apiKey } = await engine.merchant();
  return openSale({ address, merchantKey: apiKey }, options);
}

test('A crowd bigger than the stock buys each unit once, and every other buyer gets the reason of the refusal', async () => {
  const sale = await aSale({ units: 60 });
  await sale.run(await sale.gather(150));
  expect(await sale.judged()).toMatchObject({ available: 0, held: 0, sold: 60, paid: 60 });
  const codes = new Set(['', 'sold_out', 'all_held']);
  expect(sale.told().filter((code) => !codes.has(code))).toEqual([]);
  const late = await sale.press(await sale.one());
  expect(late).toMatchObject({ status: 409, code: 'sold_out', retryAfter: undefined });
});

describe('An Idempotency-Key', () => {
  test('The same Buy a hundred times at once is one order, one payment and the same answer to the byte', async () => {
    const sale = await aSale({ units: 10, perBuyer: 5 });
    const buyer = await sale.one();
    const answers = await Promise.all(Array.from({ length: 100 }, () => sale.press(buyer)));
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`)).size).toBe(1);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(await sale.judged()).toMatchObject({ orders: 1, paid: 1, sold: 1 });
    expect((await sale.press(buyer)).body).toBe(answers[0]?.body);
    expect(await sale.wallet(buyer)).toEqual({
      balance: purse - price,
      moves: ['topup', 'capture'],
    });
  });

  test('A key used again with another body is refused, and its first order stays as it was', async () => {
    const sale = await aSale({ units: 10, perBuyer: 5 });
    const buyer = await sale.one();
    const first = await sale.press(buyer);
    const others = await Promise.all([2, 3, 4].map((quantity) => sale.press(buyer, { quantity })));
    for (const other of others) {
      expect(other).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
    }
    expect(await sale.settled()).toMatchObject({ orders: 1, sold: 1 });
    expect(await sale.order(buyer, first.json['id'])).toMatchObject({ state: 'paid', quantity: 1 });
    expect((await sale.press(buyer)).body).toBe(first.body);
  });
});

test('Parallel tabs with different keys buy no more than the limit, and the refusal names the order that has it', async () => {
  const sale = await aSale({ units: 50, perBuyer: 2 });
  const buyer = await sale.one();
  const tabs = Array.from({ length: 30 }, (_, tab) => sale.press(buyer, { key: `tab-${tab}` }));
  const answers = await Promise.all(tabs);
  const bought = answers.filter(({ status }) => status === 202).map(({ json }) => json['id']);
  expect(bought).toHaveLength(2);
  for (const answer of answers.filter(({ status }) => status !== 202)) {
    expect(answer).toMatchObject({ status: 409, code: 'buyer_limit' });
    expect(bought).toContain(answer.json['order']);
  }
  expect(await sale.settled()).toMatchObject({ orders: 2, paid: 2, sold: 2, available: 48 });
});

describe('Units on sale again', () => {
  test('A unit whose hold ends unpaid lifts all_held and is sold to another buyer', async () => {
    const sale = await aSale({ units: 1, holdMs: 3_000 });
    const [idle, eager] = [await sale.one(), await sale.one()];
    stalling.keepWaiting(idle.buyer);
    const held = await sale.press(idle);
    const told = await sale.press(eager);
    expect(told).toMatchObject({ status: 409, code: 'all_held' });
    expect(Number(told.retryAfter)).toBeGreaterThanOrEqual(1);
    await eventually(async () => (await sale.press(eager)).status === 202);
    expect(await sale.judged()).toMatchObject({ sold: 1, paid: 1, orders: 2 });
    const lapsed = await sale.order(idle, held.json['id']);
    expect(lapsed).toMatchObject({ state: 'released', reason: 'expired' });
    expect(lapsed['reasonText']).toMatch(/./);
    expect((await sale.wallet(idle)).balance).toBe(purse);
  });

  test('A unit that the wallet cannot pay for is on sale again, and the buyer gets the reason', async () => {
    const sale = await aSale({ units: 1 });
    const [poor, eager] = [await sale.one({ means: false }), await sale.one()];
    const held = await sale.press(poor);
    await eventually(async () => (await sale.press(eager)).status === 202);
    expect(await sale.judged()).toMatchObject({ sold: 1, paid: 1, orders: 2 });
    const declined = await sale.order(poor, held.json['id']);
    expect(declined).toMatchObject({ state: 'released', reason: 'insufficient_funds' });
    expect(declined['reasonText']).toMatch(/wallet.*Nothing was charged/i);
    expect(await sale.press(poor)).toMatchObject({ status: 202, replayed: true, body: held.body });
  });

  test('A unit is on sale again once when its buyer cancels, and not after it was paid', async () => {
    const sale = await aSale({ units: 1 });
    const [idle, eager] = [await sale.one(), await sale.one()];
    stalling.keepWaiting(idle.buyer);
    const held = await sale.press(idle);
    const cancels = await Promise.all([1, 2, 3].map(() => sale.cancel(idle, held.json['id'])));
    for (const { status, json } of cancels) {
      expect([status, json['state'], json['reason']]).toEqual([200, 'released', 'cancelled']);
    }
    const bought = await eventually(async () => {
      const answer = await sale.press(eager);
      return answer.status === 202 ? answer : undefined;
    });
    await eventually(async () => (await sale.order(eager, bought.json['id']))['state'] === 'paid');
    expect(await sale.cancel(eager, bought.json['id'])).toMatchObject({
      status: 409,
      code: 'order_paid',
    });
    expect(await sale.cancel(eager, held.json['id'])).toMatchObject({ status: 404 });
    expect(await sale.judged()).toMatchObject({ sold: 1, paid: 1, orders: 2 });
    expect((await sale.wallet(idle)).balance).toBe(purse);
  });
});

/** A sale of one unit whose buyer paid in time, while the provider's word is out. */
async function paidUnheard(options: Partial<SaleOptions> = {}) {
  const sale = await aSale({ units: 1, holdMs: 2_500, ...options });
  const buyer = await sale.one();
  const pact = stalling.takeSilently(buyer.buyer);
  const { id } = (await sale.press(buyer)).json;
  await pact.taken();
  await eventually(async () => (await sale.order(buyer, id))['state'] === 'released');
  return { sale, buyer, id, reply: pact.reply };
}

describe('Late captures', () => {
  test('A capture that becomes known after the hold takes the unit again while it is free', async () => {
    const { sale, buyer, id, reply } = await paidUnheard();
    reply();
    await eventually(async () => (await sale.order(buyer, id))['state'] === 'paid');
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 1, paid: 1, orders: 1 });
    expect(await sale.wallet(buyer)).toEqual({
      balance: purse - price,
      moves: ['topup', 'capture'],
    });
  });

  test('A capture that becomes known after the hold is refunded once when another buyer has the unit', async () => {
    const { sale, buyer, id, reply } = await paidUnheard();
    const other = await sale.one();
    await eventually(async () => (await sale.press(other)).status === 202);
    reply();
    await eventually(async () => (await sale.wallet(buyer)).balance === purse);
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 1, paid: 1, orders: 2 });
    expect((await sale.wallet(buyer)).moves).toEqual(['topup', 'capture', 'refund']);
    const order = await sale.order(buyer, id);
    expect(order).toMatchObject({ state: 'released', payment: { state: 'refunded' } });
    expect(order['reasonText']).toMatch(/has been returned/);
  });

  test('A capture that becomes known after the hold is refunded once when the drop takes no late payments, though the unit is free', async () => {
    const { sale, buyer, id, reply } = await paidUnheard({ lateCapture: 'refund' });
    reply();
    await eventually(async () => (await sale.wallet(buyer)).balance === purse);
    expect(await sale.judged()).toMatchObject({ available: 1, sold: 0, paid: 0, orders: 1 });
    expect((await sale.wallet(buyer)).moves).toEqual(['topup', 'capture', 'refund']);
    expect(await sale.order(buyer, id)).toMatchObject({ state: 'released' });
  });
});
