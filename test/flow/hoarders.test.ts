import { setTimeout as delay } from 'node:timers/promises';
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

/** What hoarders do with a unit that they hold: never pay, and take another as soon as they can. */
const tactics: { wish: Wish; hold(buyer: string, order: unknown): Promise<unknown> }[] = [
  { wish: { method: 'stripe' }, hold: async () => {} },
  {
    wish: { method: 'stripe' },
    hold: (buyer, order) => send('POST', `/v1/orders/${order}/cancel`, { buyer }),
  },
  { wish: { method: 'stripe' }, hold: (buyer, order) => pay(buyer, order, 'stripe') },
  {
    wish: { method: 'alipay', quantity: 2 },
    async hold(buyer, order) {
      await pay(buyer, order, 'alipay');
      await pay(buyer, order, 'wechat_pay');
    },
  },
  // The wallet is empty.
  { wish: { method: 'wallet' }, hold: async () => {} },
];

const accounts = 10;
const honest = 60;
const units = 10;
const lapsesMax = 3;
/** Far more than the rule allows: where it does not hold, a hoarder stops here. */
const holdsMost = 25;

test('Ten accounts that hold and never pay end with no unit of ten, and sixty honest buyers with all', async () => {
  const drop = await shop.engine.publish(merchant.id, {
    ...{ lapsesMax, unpaidHoldMs: 300, holdMs: 1_000 },
    items: [anItem({ allotment: units, perBuyer: 2 })],
  });
  const payers = Array.from({ length: honest }, (_, n) => `honest-${n}`);
  for (const buyer of payers) await shop.engine.fund(buyer);

  async function hoard(n: number, onFirst: () => void): Promise<number> {
    const buyer = `hoarder-${n}`;
    const tactic = tactics[n % tactics.length];
    let holds = 0;
    for (let press = 0; tactic && holds < holdsMost; press += 1) {
      const { status, json } = await buy(drop, buyer, `press-${press}`, tactic.wish);
      onFirst();
      if (status === 202) {
        holds += 1;
        await tactic.hold(buyer, json['id']);
      } else if (json['code'] === 'lapse_limit' || json['code'] === 'sold_out') {
        return holds;
      } else await delay(20);
    }
    return holds;
  }

  async function buyHonestly(buyer: string): Promise<'bought' | 'none'> {
    for (;;) {
      const { status, json } = await buy(drop, buyer, 'mine', { method: 'wallet' });
      if (status === 202) return 'bought';
      if (json['code'] === 'sold_out') return 'none';
      expect(json['code']).toBe('all_held');
      await delay(100);
    }
  }

  // The hoarders are faster: each has pressed before anybody else does.
  const hoarding: Promise<number>[] = [];
  for (let n = 0; n < accounts; n += 1) {
    const { promise, resolve } = Promise.withResolvers<void>();
    hoarding.push(hoard(n, resolve));
    await promise;
  }
  const outcomes = await Promise.all(payers.map(buyHonestly));
  const holds = await Promise.all(hoarding);

  expect(outcomes.filter((outcome) => outcome === 'bought')).toHaveLength(units);
  for (const count of holds) expect(count).toBeLessThanOrEqual(lapsesMax);
  const total = holds.reduce((sum, count) => sum + count, 0);
  const { items, lapses, funnel } = await eventually(async () => {
    const { json } = await report(drop);
    const { expired, cancelled, declined } = json.lapses;
    const isPaid = json.funnel.orders.paid === units;
    return isPaid && expired + cancelled + declined === total && json;
  });
  expect(items[0]).toMatchObject({ available: 0, held: 0, sold: units, allotment: units });
  expect(funnel.orders).toMatchObject({ reserved: 0, paid: units, refunded: 0 });
  for (const { buyer } of lapses.buyers) expect(buyer).toMatch(/^hoarder-/);
});

async function report(drop: Drop) {
  const { authorization } = merchant;
  const answer = await shop.engine.app.inject({
    url: `/v1/drops/${drop.id}/report`,
    headers: { authorization },
  });
  return { json: answer.json() };
}

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
