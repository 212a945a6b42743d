import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cardBody, dropBody } from '../../../src/http/schemas/drops.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

type Store = Awaited<ReturnType<TestEngine['merchant']>>;

let engine: TestEngine;
let store: Store;

beforeAll(async () => {
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    // Offered and never called: these tests begin no payment at Stripe.
    payments: {
      FLASHDROP_STRIPE_URL: 'http://127.0.0.1:9',
      FLASHDROP_STRIPE_SECRET_KEY: 'sk_test_1',
      FLASHDROP_STRIPE_WEBHOOK_SECRET: 'whsec_1',
    },
  });
  store = await engine.merchant();
});
afterAll(() => engine?.stop());

type Ask = {
  as?: Pick<Store, 'authorization'>;
  payload?: object;
  headers?: Record<string, string>;
};

function ask(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, asked: Ask = {}) {
  const { as = store, payload, headers } = asked;
  return engine.app.inject({
    method,
    url,
    headers: { authorization: as.authorization, ...headers },
    ...(payload ? { payload } : {}),
  });
}

const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();

function definition(overrides: object = {}) {
  return {
    title: 'Noon',
    currency: 'CNY',
    startsAt: inHours(0),
    endsAt: inHours(2),
    items: [{ sku: 'phone', title: 'A phone', unitAmount: 100, allotment: 10, perBuyer: 2 }],
    ...overrides,
  };
}

async function create(overrides: object = {}) {
  const answer = await ask('POST', '/v1/drops', { payload: definition(overrides) });
  expect(answer.statusCode, answer.body).toBe(201);
  return dropBody.parse(answer.json());
}

async function publish({ id }: { id: string }) {
  const answer = await ask('POST', `/v1/drops/${id}/publish`);
  expect(answer.statusCode, answer.body).toBe(200);
  return dropBody.parse(answer.json());
}

const cardOf = async (id: string) => cardBody.parse((await ask('GET', `/v1/drops/${id}`)).json());

const buy = (id: string, { method = 'wallet', buyer = 'ann', ...body }: Record<string, unknown>) =>
  ask('POST', `/v1/drops/${id}/orders`, {
    as: engine.buyer(`${buyer}`),
    headers: { 'idempotency-key': 'k' },
    payload: { sku: 'phone', quantity: 1, payment: { method }, ...body },
  });

describe('What a merchant tells of a drop and its items', () => {
  const told = {
    description: 'The first hundred.\nOne each.',
    image: 'https://cdn.example.com/phone.png?w=300',
    link: 'https://shop.example.com/phone',
  };
  const metadata = { warehouse: 'east', 'note 2': '多谢' };

  test('is shown on the card and to the merchant, and metadata to the merchant alone', async () => {
    const item = { ...definition().items[0], ...told, metadata };
    const drop = await create({ ...told, metadata, items: [item] });
    expect(drop).toMatchObject({ ...told, metadata, items: [{ ...told, metadata }] });
    await publish(drop);
    expect(await cardOf(drop.id)).toMatchObject({ ...told, items: [{ sku: 'phone', ...told }] });
    expect((await ask('GET', `/v1/drops/${drop.id}`)).body).not.toContain('warehouse');
    const [listed] = (await ask('GET', '/v1/drops?limit=1')).json().drops;
    expect(listed).toMatchObject({ id: drop.id, metadata, items: [{ metadata }] });
  });

  test.for([
    ['http://shop.example.com/', 'link'],
    ['javascript:alert(1)', 'link'],
    ['data:image/png;base64,AA==', 'image'],
    ['https://user:secret@shop.example.com/', 'link'],
    ['https://shop.example.com/"onload="x', 'image'],
    ['https://shop.example.com/a b', 'image'],
    ['https:///', 'image'],
    ['//shop.example.com/', 'link'],
    [' https://shop.example.com/', 'link'],
    ['https://shop.example.com/\n', 'link'],
    [`https://shop.example.com/${'x'.repeat(2_048)}`, 'link'],
  ] as const)(
    'is refused with %s as an address, and the answer names the field',
    async ([text, field]) => {
      for (const payload of [
        definition({ [field]: text }),
        definition({ items: [{ ...definition().items[0], [field]: text }] }),
      ]) {
        const answer = await ask('POST', '/v1/drops', { payload });
        expect(answer.statusCode).toBe(400);
        expect(answer.json().errors[0].field).toMatch(new RegExp(`(^|\\.)${field}$`));
      }
    },
  );

  const many = (count: number) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, n) => [`name ${n}`.padEnd(40, '.'), 'x'.repeat(500)]),
    );

  test('takes metadata of 50 names of 40 characters and texts of 500, for the drop and 20 items', async () => {
    const items = Array.from({ length: 20 }, (_, n) => {
      return { ...definition().items[0], sku: `s${n}`, metadata: many(50) };
    });
    const drop = await create({ metadata: many(50), items });
    expect(drop.metadata).toEqual(many(50));
  });

  test.for([
    [many(51), 'metadata'],
    [{ ['x'.repeat(41)]: 'a' }, `metadata.${'x'.repeat(41)}`],
    [{ '': 'a' }, 'metadata.'],
    [{ 'a[b]': 'a' }, 'metadata.a[b]'],
    [{ a: 'x'.repeat(501) }, 'metadata.a'],
    [{ a: 1 }, 'metadata.a'],
    [{ a: null }, 'metadata.a'],
    [{ a: 'nul \0' }, 'metadata.a'],
    [{ a: '\ud800' }, 'metadata.a'],
    [['a'], 'metadata'],
    ['a', 'metadata'],
    [JSON.parse('{"__proto__":"a"}'), 'metadata.__proto__'],
  ])('is refused with metadata that break a bound, case %#', async ([metadata, field]) => {
    const answer = await ask('POST', '/v1/drops', { payload: definition({ metadata }) });
    expect(answer.statusCode, answer.body).toBe(400);
    expect(answer.json().errors[0].field).toBe(field);
  });
});

describe('The methods of payment of a drop', () => {
  test('are those that the card tells, and a Buy or a payment by another is refused', async () => {
    const { id } = await publish(await create({ paymentMethods: ['stripe'] }));
    const { paymentMethods } = await cardOf(id);
    expect(paymentMethods.map(({ method }) => method)).toEqual(['stripe']);
    const other = await buy(id, {});
    expect(other.statusCode).toBe(409);
    expect(other.json().code).toBe('payment_method_not_offered');
    const bought = await buy(id, { method: 'stripe' });
    expect(bought.statusCode, bought.body).toBe(202);
    await engine.fund('ann');
    const changed = await ask('POST', `/v1/orders/${bought.json().id}/payment`, {
      as: engine.buyer('ann'),
      payload: { method: 'wallet' },
    });
    expect(changed.statusCode).toBe(409);
    expect(changed.json().code).toBe('payment_method_not_offered');
    await eventually(async () => (await engine.ledger.orders.get(bought.json().id)) !== undefined);
    const order = await ask('GET', `/v1/orders/${bought.json().id}`, { as: engine.buyer('ann') });
    expect(order.json()).toMatchObject({ state: 'reserved', awaits: 'payment' });
  });

  test('are all that the engine offers unless the merchant names some', async () => {
    const { id } = await publish(await create());
    const { paymentMethods } = await cardOf(id);
    expect(paymentMethods.map(({ method }) => method).sort()).toEqual(['stripe', 'wallet']);
  });

  test.for([
    [['alipay'], 'paymentMethods[0]'],
    [['wallet', 'wallet'], 'paymentMethods[1]'],
    [['cash'], 'paymentMethods[0]'],
    [[], 'paymentMethods'],
    ['wallet', 'paymentMethods'],
  ])(
    'are refused when they are %j, and the answer names the place',
    async ([paymentMethods, field]) => {
      const answer = await ask('POST', '/v1/drops', { payload: definition({ paymentMethods }) });
      expect(answer.statusCode).toBe(400);
      expect(answer.json().errors[0].field).toBe(field);
    },
  );
});
