import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { storeBody } from '../../../src/http/schemas/drops.ts';
import { ordersBody, soldOrderBody, soldOrdersBody } from '../../../src/http/schemas/orders.ts';
import { anItem } from '../../support/drops.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
let store: Awaited<ReturnType<TestEngine['merchant']>>;
let drop: Drop;
/** Orders of the drop in the order of their Buys. */
let orders: {
  id: string;
  buyer: string;
  sku: string;
  reservedAt: string;
  reference: string | undefined;
}[];

const items = [anItem({ perBuyer: 5 }), anItem({ sku: 'cover', perBuyer: 5 })];

beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl() });
  store = await engine.merchant('Noon store');
  drop = await engine.publish(store.id, { items });
  await engine.fund('ann');
  const ids = [
    await bought('ann', 'phone', { cart: 'c-7' }),
    // Without money: released.
    await bought('bo', 'phone'),
    await bought('ann', 'cover'),
  ];
  orders = await eventually(async () => {
    const listed = soldOrdersBody.parse((await search('')).json()).orders;
    if (listed.length < 3 || listed.some(({ state }) => state === 'reserved')) return undefined;
    return listed.map(({ id, buyer, sku, reservedAt = '', payment }) => {
      return { id, buyer, sku, reservedAt, reference: payment?.reference };
    });
  });
  expect(orders.map(({ id }) => id)).toEqual(ids);
});
afterAll(() => engine?.stop());

async function bought(buyer: string, sku: string, metadata?: object): Promise<string> {
  const answer = await engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/orders`,
    headers: { ...engine.buyer(buyer), 'idempotency-key': sku },
    payload: { sku, quantity: 1, payment: { method: 'wallet' }, ...(metadata ? { metadata } : {}) },
  });
  expect(answer.statusCode, answer.body).toBe(202);
  // One millisecond later, so that times tell the orders apart.
  await eventually(async () => {
    const listed = (await search('')).json().orders;
    const found = listed.find((order: { id: string }) => order.id === answer.json().id);
    return found && Date.parse(found.reservedAt) < Date.now();
  });
  return answer.json().id;
}

function search(query: string, authorization = store.authorization) {
  return engine.app.inject({
    url: `/v1/drops/${drop.id}/orders${query}`,
    headers: { authorization },
  });
}

const get = (url: string, headers: Record<string, string> = {}) =>
  engine.app.inject({ url, headers });

describe("A merchant's search of a drop's orders", () => {
  const cases: [name: string, query: () => string, wanted: number[]][] = [
    ['by a buyer', () => '?q=ann', [0, 2]],
    ['by an order', () => `?q=${orders[1]?.id}`, [1]],
    ['by a payment', () => `?q=${orders[2]?.reference}`, [2]],
    ['by a text of the metadata', () => '?q=c-7', [0]],
    ['by what no order has', () => '?q=nobody', []],
    ['by text that is no pattern', () => '?q=%25', []],
    ['by state', () => '?state=released', [1]],
    ['by sku', () => '?sku=cover', [2]],
    ['by method', () => '?method=wallet', [0, 1, 2]],
    ['by another method', () => '?method=stripe', []],
    ['by its beginning in time', () => `?since=${orders[1]?.reservedAt}`, [1, 2]],
    ['by its end in time', () => `?until=${orders[1]?.reservedAt}`, [0]],
    ['by all at once', () => '?q=ann&state=paid&sku=phone&method=wallet', [0]],
  ];
  test.for(cases)(
    '%s finds those and no others, as a list and as CSV',
    async ([, query, wanted]) => {
      const ids = wanted.map((n) => orders[n]?.id);
      const listed = soldOrdersBody.parse((await search(query())).json());
      expect(listed.orders.map(({ id }) => id)).toEqual(ids);
      const csv = (await search(`${query()}&format=csv`)).body.trim().split('\r\n').slice(1);
      expect(csv.map((row) => row.split(',')[0])).toEqual(ids);
    },
  );

  test('goes on from page to page with its filters', async () => {
    const first = (await search('?q=ann&limit=1')).json();
    expect(first.orders.map(({ id }: { id: string }) => id)).toEqual([orders[0]?.id]);
    const second = (await search(`?q=ann&limit=1&cursor=${first.next}`)).json();
    expect(second.orders.map(({ id }: { id: string }) => id)).toEqual([orders[2]?.id]);
    expect(second.next).toBeUndefined();
  });

  test.for([
    ['?state=open', 'state'],
    ['?sku=pen', 'sku'],
    ['?method=cash', 'method'],
    ['?since=yesterday', 'since'],
    ['?until=1', 'until'],
    ['?q=', 'q'],
    ['?q=%00', 'q'],
    ['?buyer=ann', 'buyer'],
  ] as const)('with %s is 400 and names the parameter', async ([query, field]) => {
    const answer = await search(query);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().errors[0].field).toBe(field);
  });

  test("finds nothing of another drop and is 404 for another's drop", async () => {
    const other = await engine.publish(store.id);
    const answer = await get(`/v1/drops/${other.id}/orders?q=ann`, store);
    expect(answer.json().orders).toEqual([]);
    expect((await search('?q=ann', (await engine.merchant()).authorization)).statusCode).toBe(404);
  });
});

test('A merchant gets one order of a drop with its buyer and payment, and none of another drop or merchant', async () => {
  const url = `/v1/drops/${drop.id}/orders/${orders[0]?.id}`;
  const order = soldOrderBody.parse(
    (await get(url, { authorization: store.authorization })).json(),
  );
  expect(order).toMatchObject({
    id: orders[0]?.id,
    buyer: 'ann',
    state: 'paid',
    sku: 'phone',
    metadata: { cart: 'c-7' },
    payment: { provider: 'wallet', state: 'captured' },
  });
  const other = await engine.publish(store.id);
  const stranger = await engine.merchant();
  for (const [path, who] of [
    [`/v1/drops/${other.id}/orders/${orders[0]?.id}`, store],
    [`/v1/drops/${drop.id}/orders/nonsense`, store],
    [url, stranger],
  ] as const) {
    const answer = await get(path, { authorization: who.authorization });
    expect(answer.statusCode, answer.body).toBe(404);
  }
  expect((await get(url, engine.buyer('ann'))).statusCode).toBe(401);
});

describe("A buyer's list of orders", () => {
  test('has their own orders of all drops, newest first, page by page, and nobody else', async () => {
    const other = await engine.publish(store.id, { currency: 'CNY' });
    const answer = await engine.app.inject({
      method: 'POST',
      url: `/v1/drops/${other.id}/orders`,
      headers: { ...engine.buyer('ann'), 'idempotency-key': 'k' },
      payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
    });
    const newest = answer.json().id;
    const list = async (query: string) =>
      ordersBody.parse((await get(`/v1/orders${query}`, engine.buyer('ann'))).json());
    await eventually(async () => (await list('')).orders.length === 3);
    const all = await list('');
    expect(all.orders.map(({ id }) => id)).toEqual([newest, orders[2]?.id, orders[0]?.id]);
    expect(all.orders[2]).toMatchObject({ drop: drop.id, sku: 'phone', metadata: { cart: 'c-7' } });
    const first = await list('?limit=2');
    const rest = await list(`?limit=2&cursor=${first.next}`);
    expect([...first.orders, ...rest.orders].map(({ id }) => id)).toEqual(
      all.orders.map(({ id }) => id),
    );
    expect(rest.next).toBeUndefined();
    expect((await get('/v1/orders', engine.buyer('zoe'))).json()).toEqual({ orders: [] });
    expect((await get('/v1/orders')).statusCode).toBe(401);
  });
});

describe("A store's public list", () => {
  test('has its open drops alone, is the same for everybody, and may be cached', async () => {
    const shop = await engine.merchant('Corner shop');
    const soon = Date.now() + 60_000;
    const open = await engine.publish(shop.id, { title: 'Open' });
    await engine.publish(shop.id, { title: 'Later', startsAt: soon });
    const paused = await engine.publish(shop.id, { title: 'Paused' });
    await engine.services.publishing.act({ merchantId: shop.id, drop: paused.id, action: 'pause' });
    const answer = await get(`/v1/stores/${shop.id}/drops`);
    expect(answer.headers['cache-control']).toBe('public, max-age=2');
    const body = storeBody.parse(answer.json());
    expect(body.store).toEqual({ id: shop.id, name: 'Corner shop' });
    expect(body.drops.map(({ id }) => id)).toEqual([open.id]);
    expect((await get(`/v1/stores/${shop.id}/drops`, engine.buyer('ann'))).body).toBe(answer.body);
  });

  test.for(['mer_000000000000', 'nonsense', '%00'])(
    'of a store that is none, %s, is 404',
    async (id) => {
      const answer = await get(`/v1/stores/${id}/drops`);
      expect(answer.statusCode).toBe(404);
      expect(answer.json().code).toBe('unknown_store');
    },
  );
});

test('The OpenAPI document requires the bodies that a route needs, and no others', async () => {
  const { paths } = (await get('/openapi.json')).json();
  const required = (path: string, method = 'post') => paths[path][method].requestBody?.required;
  expect(required('/v1/orders/{order}/payment')).toBe(false);
  expect(required('/v1/orders/{order}/refund')).toBe(false);
  expect(required('/v1/orders/{order}/cancel')).toBe(false);
  expect(required('/v1/drops/{drop}/publish')).toBe(false);
  expect(required('/v1/drops/{drop}/duplicate')).toBe(false);
  expect(required('/v1/drops/{drop}/orders')).toBe(true);
  expect(required('/v1/drops/{drop}', 'patch')).toBe(true);
  expect(JSON.stringify(paths)).not.toContain('x-optional');
  const [order] = orders;
  const url = `/v1/orders/${order?.id}/payment`;
  const headers = engine.buyer('ann');
  const bare = await engine.app.inject({ method: 'POST', url, headers });
  expect(bare.json()).toMatchObject({ order: order?.id, method: 'wallet', state: 'captured' });
});
