import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Drop } from '../../src/domain/drop.ts';
import { anItem } from '../support/drops.ts';
import { eventually } from '../support/eventually.ts';
import { openShop, type Shop } from '../support/shop.ts';

let shop: Shop;
let merchant: Awaited<ReturnType<Shop['engine']['merchant']>>;
beforeAll(async () => {
  shop = await openShop({ timings: { pollFirstMs: 100 } });
  merchant = await shop.engine.merchant();
});
afterAll(() => shop?.stop());

type Asked = { buyer: string; key?: string; payload?: object };
type Answer = { status: number; json: Record<string, unknown>; body: string };

async function send(method: 'GET' | 'POST', url: string, asked: Asked): Promise<Answer> {
  const { buyer, key, payload } = asked;
  const answer = await shop.engine.app.inject({
    method,
    url,
    headers: { ...shop.engine.buyer(buyer), ...(key ? { 'idempotency-key': key } : {}) },
    ...(payload ? { payload } : {}),
  });
  return { status: answer.statusCode, json: answer.json(), body: answer.body };
}

type Wish = { method: string; quantity?: number };

function buy(drop: Drop, buyer: string, key: string, { method, quantity = 1 }: Wish) {
  const payload = { sku: 'phone', quantity, payment: { method } };
  return send('POST', `/v1/drops/${drop.id}/orders`, { buyer, key, payload });
}

const pay = (buyer: string, order: unknown, method: string) => {
  return send('POST', `/v1/orders/${order}/payment`, { buyer, payload: { method } });
};

test('A hold is short until its buyer begins to pay and then as long as any, and the Buy’s answer stays the same', async () => {
  const drop = await shop.engine.publish(merchant.id, { unpaidHoldMs: 60_000, holdMs: 300_000 });
  const bought = await buy(drop, 'ann', 'k', { method: 'stripe' });
  const { id, expiresAt } = bought.json;
  const order = () => send('GET', `/v1/orders/${id}`, { buyer: 'ann' });
  expect((await order()).json).toMatchObject({ state: 'reserved', expiresAt });

  const begun = await pay('ann', id, 'stripe');
  expect(begun.status, begun.body).toBe(200);
  const first = Date.parse(String(expiresAt));
  const extended = new Date(first + 240_000).toISOString();
  expect((await order()).json).toMatchObject({ state: 'reserved', expiresAt: extended });
  const payableUntil = Date.parse(String(begun.json['payableUntil']));
  expect(payableUntil).toBeGreaterThan(first);

  for (const method of ['stripe', 'alipay', 'wechat_pay']) await pay('ann', id, method);
  expect((await order()).json).toMatchObject({ state: 'reserved', expiresAt: extended });
  expect((await buy(drop, 'ann', 'k', { method: 'stripe' })).body).toBe(bought.body);
  const found = async () => (await shop.engine.ledger.orders.get(id as never))?.expiresAt;
  await eventually(async () => (await found()) === first + 240_000);
});

test('An order that the engine charges by itself has the whole hold, and one that needs the password has not', async () => {
  const rules = { unpaidHoldMs: 1_000, holdMs: 300_000, passwordAbove: anItem().unitAmount };
  const drop = await shop.engine.publish(merchant.id, {
    ...rules,
    items: [anItem({ perBuyer: 2 })],
  });
  const { lanes } = shop.engine.deps;
  const held = async (buyer: string, quantity: number) => {
    await shop.engine.fund(buyer);
    const { json } = await buy(drop, buyer, 'k', { method: 'wallet', quantity });
    return json;
  };
  const [one, two] = [await held('cy', 1), await held('di', 2)];
  const digests = [one, two].map((order) => String(order['id']).slice(-22));
  const [engine, password] = await lanes.find({ drop: drop.id, lane: 0 }, digests);
  expect(engine?.extensionMs).toBeUndefined();
  expect(password?.extensionMs).toBe(299_000);
  await eventually(async () => {
    const { json } = await send('GET', `/v1/orders/${two['id']}`, { buyer: 'di' });
    return json['state'] === 'released' && json['reason'] === 'expired';
  });
  await eventually(async () => {
    const { json } = await send('GET', `/v1/orders/${one['id']}`, { buyer: 'cy' });
    return json['state'] === 'paid';
  });
});

test('An order that its wallet may not pay without the password that day waits as long as any order whose payment is not begun, and counts when it ends', async () => {
  const drop = await shop.engine.publish(merchant.id, {
    ...{ unpaidHoldMs: 1_000, holdMs: 300_000, lapsesMax: 1, passwordAbove: anItem().unitAmount },
    items: [anItem({ perBuyer: 3 })],
  });
  await shop.engine.fund('ed');
  const order = async (id: unknown) =>
    (await send('GET', `/v1/orders/${id}`, { buyer: 'ed' })).json;
  const first = (await buy(drop, 'ed', 'first', { method: 'wallet' })).json;
  await eventually(async () => (await order(first['id']))['state'] === 'paid');
  const second = await buy(drop, 'ed', 'second', { method: 'wallet' });
  const { id, expiresAt } = second.json;
  const ended = await eventually(async () => {
    const json = await order(id);
    return json['state'] === 'released' && json;
  });
  expect(ended).toMatchObject({ reason: 'expired' });
  expect(String(ended['expiresAt']) < String(expiresAt)).toBe(true);
  expect((await buy(drop, 'ed', 'second', { method: 'wallet' })).body).toBe(second.body);
  const refused = await buy(drop, 'ed', 'third', { method: 'wallet' });
  expect(refused.json).toMatchObject({ code: 'lapse_limit', lapses: 1, limit: 1 });
});
