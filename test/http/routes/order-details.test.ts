import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { placeOf } from '../../../src/domain/ids.ts';
import type { OrderField } from '../../../src/domain/order-details.ts';
import { cardBody } from '../../../src/http/schemas/drops.ts';
import { orderBody } from '../../../src/http/schemas/orders.ts';
import { laneKey } from '../../../src/inventory/keys.ts';
import { anItem } from '../../support/drops.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { anOrderId } from '../../support/ids.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
let redis: Redis;
let store: Awaited<ReturnType<TestEngine['merchant']>>;

beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl() });
  redis = new Redis(sharedRedisUrl());
  store = await engine.merchant();
});
afterAll(async () => {
  redis?.disconnect();
  await engine?.stop();
});

const field = (name: string, kind: OrderField['kind'], required = true): OrderField => {
  return { name, label: name, kind, required, maxLength: 60 };
};
const asked = [
  field('name', 'text'),
  field('phone', 'phone'),
  field('mail', 'email', false),
  field('shipTo', 'address'),
];
const given = { name: 'An Li', phone: '+86 138 0013 8000', shipTo: '1 Long Road\nBeijing' };

const publish = (overrides: Partial<Drop> = {}) =>
  engine.publish(store.id, { items: [anItem({ perBuyer: 5 })], ...overrides });

function buy(drop: Drop, body: object = {}, { buyer = 'ann', key = 'k' } = {}) {
  return engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/orders`,
    headers: { ...engine.buyer(buyer), 'idempotency-key': key },
    payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' }, ...body },
  });
}

async function bought(drop: Drop, body: object = {}, who: { buyer?: string; key?: string } = {}) {
  await engine.fund(who.buyer ?? 'ann');
  const answer = await buy(drop, body, who);
  expect(answer.statusCode, answer.body).toBe(202);
  return anOrderId(answer.json().id);
}

async function read(id: string, buyer = 'ann') {
  const answer = await engine.app.inject({ url: `/v1/orders/${id}`, headers: engine.buyer(buyer) });
  return answer.statusCode === 200 ? orderBody.parse(answer.json()) : undefined;
}

const list = (drop: Drop, query = '') =>
  engine.app.inject({
    url: `/v1/drops/${drop.id}/orders${query}`,
    headers: { authorization: store.authorization },
  });

async function keptInLane(id: ReturnType<typeof anOrderId>) {
  const { digest, ...ref } = placeOf(id);
  const key = (name: 'details' | 'orders') => laneKey(engine.namespace, ref, name);
  const [details, record] = await Promise.all([
    redis.hget(key('details'), digest),
    redis.hget(key('orders'), digest),
  ]);
  return { details, record };
}

describe('What a drop asks of its buyers', () => {
  test('is told on the card, and given with the Buy is shown to that buyer at once and to the merchant', async () => {
    const drop = await publish({ fields: asked });
    const card = (await engine.app.inject(`/v1/drops/${drop.id}`)).json();
    expect(cardBody.parse(card).fields).toEqual(asked);
    const id = await bought(drop, { fields: given, metadata: { cart: '7' } });
    expect(await read(id)).toMatchObject({ fields: given, metadata: { cart: '7' } });
    expect(await read(id, 'bo')).toBeUndefined();
    await eventually(async () => (await read(id))?.state === 'paid');
    expect(await read(id)).toMatchObject({ fields: given, metadata: { cart: '7' } });
    const [listed] = (await list(drop)).json().orders;
    expect(listed).toMatchObject({ id, fields: given, metadata: { cart: '7' } });
  });

  test('leaves Redis as soon as the ledger has it, and stays out of logs, cards and the answer', async () => {
    const drop = await publish({ fields: asked });
    const id = await bought(drop, { fields: { ...given, name: 'Secret Person' } });
    expect((await buy(drop, { fields: { ...given, name: 'Secret Person' } })).body).not.toContain(
      'Secret',
    );
    await eventually(async () => (await keptInLane(id)).details === null);
    expect(await engine.ledger.orders.get(id)).toMatchObject({
      details: { fields: { name: 'Secret Person' } },
    });
    expect((await keptInLane(id)).record).not.toContain('Secret');
    expect((await engine.app.inject(`/v1/drops/${drop.id}`)).body).not.toContain('Secret');
    expect(engine.logged.join('\n')).not.toContain('Secret');
  });

  test('is checked before anything is reserved, and the refusal names each wrong field', async () => {
    const drop = await publish({ fields: asked });
    const wrong: [object, string[]][] = [
      [{}, ['fields.name', 'fields.phone', 'fields.shipTo']],
      [{ fields: { ...given, phone: 'call me' } }, ['fields.phone']],
      [{ fields: { ...given, phone: '12' } }, ['fields.phone']],
      [{ fields: { ...given, mail: 'an@' } }, ['fields.mail']],
      [{ fields: { ...given, mail: 'a b@example.com' } }, ['fields.mail']],
      [{ fields: { ...given, name: '' } }, ['fields.name']],
      [{ fields: { ...given, name: '  ' } }, ['fields.name']],
      [{ fields: { ...given, name: 'two\nlines' } }, ['fields.name']],
      [{ fields: { ...given, name: 'x'.repeat(61) } }, ['fields.name']],
      [{ fields: { ...given, other: 'x' } }, ['fields.other']],
      [{ fields: { ...given, name: 7 } }, ['fields.name']],
      [{ fields: { ...given, name: null } }, ['fields.name']],
      [{ fields: { ...given, constructor: 'x' } }, ['fields.constructor']],
      [{ fields: [] }, ['fields']],
    ];
    for (const [body, fields] of wrong) {
      const answer = await buy(drop, body);
      expect(answer.statusCode, answer.body).toBe(400);
      expect(answer.json().code).toBe('invalid_request');
      expect(answer.json().errors.map((error: { field: string }) => error.field)).toEqual(fields);
    }
    const inspected = await engine.deps.lanes.inspect({ drop: drop.id, lane: 0 });
    expect(inspected).toMatchObject({ orders: 0, holds: 0 });
  });

  test('is refused when the drop asks nothing', async () => {
    const answer = await buy(await publish(), { fields: { name: 'An' } });
    expect(answer.json().errors).toEqual([
      { field: 'fields.name', reason: 'is not a field of this drop' },
    ]);
  });

  test('is part of the request: the same key with other texts is 422, in another order the same order', async () => {
    const drop = await publish({ fields: asked });
    const id = await bought(drop, { fields: given, metadata: { a: '1', b: '2' } });
    const reordered = Object.fromEntries(Object.entries(given).reverse());
    const again = await buy(drop, { metadata: { b: '2', a: '1' }, fields: reordered });
    expect(again.json().id).toBe(id);
    expect(again.headers['idempotency-replayed']).toBe('true');
    for (const body of [
      { fields: { ...given, name: 'Bo' }, metadata: { a: '1', b: '2' } },
      { fields: given, metadata: { a: '1', b: '3' } },
      { fields: given },
      {},
      { fields: { ...given, phone: 'call me' } },
    ]) {
      const other = await buy(drop, body);
      expect(other.statusCode, other.body).toBe(422);
      expect(other.json().code).toBe('idempotency_key_reused');
    }
    expect(await read(id)).toMatchObject({ fields: given });
  });

  test('is kept of the Buy that was reserved when two with one key arrive at once', async () => {
    const drop = await publish({ fields: asked });
    const answers = await Promise.all(
      ['An', 'Bo', 'Cho'].map((name) => buy(drop, { fields: { ...given, name } })),
    );
    const statuses = answers.map(({ statusCode }) => statusCode);
    expect([...statuses].sort()).toEqual([202, 422, 422]);
    const winner = ['An', 'Bo', 'Cho'][statuses.indexOf(202)];
    const id = answers[statuses.indexOf(202)]?.json().id;
    expect((await read(id))?.fields).toMatchObject({ name: winner });
  });

  test('is in the export, a column a field, where no text can run as a formula', async () => {
    const drop = await publish({ fields: asked });
    const name = '=HYPERLINK("http://evil")';
    await bought(drop, { fields: { ...given, name }, metadata: { '=x': '-1' } });
    await eventually(async () => (await list(drop)).json().orders.length === 1);
    const [head, ...rows] = (await list(drop, '?format=csv')).body.split('\r\n');
    expect(head?.split(',').slice(-5)).toEqual([
      'metadata',
      ...asked.map((one) => `fields.${one.name}`),
    ]);
    const text = rows.join('\r\n');
    expect(text).toContain(`"'=HYPERLINK(""http://evil"")"`);
    expect(text).toContain(`'+86 138 0013 8000`);
    expect(text).toContain('"1 Long Road\nBeijing"');
    expect(text).toContain('"{""=x"":""-1""}"');
  });

  test.for([
    [[{ ...asked[0], kind: 'colour' }], 'fields[0].kind'],
    [[{ ...asked[0], name: '__proto__' }], 'fields[0].name'],
    [[{ ...asked[0], name: 'a b' }], 'fields[0].name'],
    [[{ ...asked[0], maxLength: 1_001 }], 'fields[0].maxLength'],
    [[asked[0], asked[0]], 'fields[1].name'],
    [[], 'fields'],
  ])(
    'is refused in the definition of a drop when it is wrong, case %#',
    async ([fields, place]) => {
      const answer = await engine.app.inject({
        method: 'POST',
        url: '/v1/drops',
        headers: { authorization: store.authorization },
        payload: {
          title: 'Noon',
          currency: 'CNY',
          startsAt: new Date().toISOString(),
          endsAt: new Date(Date.now() + 3_600_000).toISOString(),
          items: [anItem()],
          fields,
        },
      });
      expect(answer.statusCode).toBe(400);
      expect(answer.json().errors[0].field).toBe(place);
    },
  );
});

describe('The metadata of an order', () => {
  const many = (count: number, length = 500) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, n) => [`name ${n}`.padEnd(40, '.'), 'x'.repeat(length)]),
    );

  test('need no fields, and may have 50 names of 40 characters with texts of 500', async () => {
    const drop = await publish();
    const id = await bought(drop, { metadata: many(50) });
    expect((await read(id))?.metadata).toEqual(many(50));
    await eventually(async () => (await keptInLane(id)).details === null);
    expect((await read(id))?.metadata).toEqual(many(50));
  });

  test.for([
    [many(51), 'metadata'],
    [many(1, 501), `metadata.${'name 0'.padEnd(40, '.')}`],
    [{ a: 1 }, 'metadata.a'],
    [JSON.parse('{"__proto__":"x"}'), 'metadata.__proto__'],
  ])('are refused beyond a bound, case %#', async ([metadata, place]) => {
    const answer = await buy(await publish(), { metadata });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().errors[0].field).toBe(place);
  });
});

test('An order without details takes no more of Redis than before there were any', async () => {
  const drop = await publish();
  const id = await bought(drop, { fields: {}, metadata: {} });
  const { record, details } = await keptInLane(id);
  expect(record).toMatch(/^[rp]\|0\|1\|199900\|\d+\|[12]\|wallet\|\|ann$/);
  expect(details).toBeNull();
});
