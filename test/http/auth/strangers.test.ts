import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

/** Every route that names something of somebody's, asked for by everybody it does not belong to. */
let engine: TestEngine;
let drop: string;
let order: string;
const principals: Record<string, string | undefined> = {};

beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), settling: false });
  const owner = await engine.merchant();
  const published = await engine.publish(owner.id);
  const bought = await engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${published.id}/orders`,
    headers: { ...engine.buyer('ann'), 'idempotency-key': 'k' },
    payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
  });
  drop = published.id;
  order = bought.json().id;
  principals['nobody'] = undefined;
  principals['another buyer'] = engine.buyer('mallory').authorization;
  principals['another merchant'] = (await engine.merchant()).authorization;
  principals['its buyer'] = engine.buyer('ann').authorization;
  principals['its merchant'] = owner.authorization;
});
afterAll(() => engine?.stop());

type Route = [
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  whose: 'buyer' | 'merchant',
  body?: object,
];

const routes: Route[] = [
  ['GET', '/v1/orders/ORDER', 'buyer'],
  ['GET', '/v1/orders/ORDER/stream', 'buyer'],
  ['POST', '/v1/orders/ORDER/payment', 'buyer'],
  ['POST', '/v1/orders/ORDER/cancel', 'buyer'],
  ['GET', '/v1/drops/DROP/report', 'merchant'],
  ['GET', '/v1/drops/DROP/audit', 'merchant'],
  ['GET', '/v1/drops/DROP/orders', 'merchant'],
  ['GET', '/v1/drops/DROP/orders?format=csv', 'merchant'],
  ['POST', '/v1/drops/DROP/appointments/import', 'merchant'],
  ['GET', '/v1/drops/DROP/appointments', 'merchant'],
  ['DELETE', '/v1/drops/DROP/appointments', 'merchant'],
  ['DELETE', '/v1/drops/DROP/appointments/ann', 'merchant'],
  ['POST', '/v1/drops/DROP/publish', 'merchant'],
  ['POST', '/v1/drops/DROP/pause', 'merchant'],
  ['POST', '/v1/drops/DROP/resume', 'merchant'],
  ['POST', '/v1/drops/DROP/end', 'merchant'],
  ['POST', '/v1/drops/DROP/cancel', 'merchant'],
  ['POST', '/v1/drops/DROP/items/phone/adjustments', 'merchant', { delta: 1, reason: 'mine' }],
  ['POST', '/v1/orders/ORDER/refund', 'merchant'],
];

/** 404 for the right kind of caller who does not own it; 401 for who is no such caller at all. */
function expected(whose: 'buyer' | 'merchant', who: string): number {
  return who === `another ${whose}` ? 404 : 401;
}

async function send([method, path, , payload]: Route, authorization: string | undefined) {
  return await engine.app.inject({
    method,
    url: path.replace('ORDER', order).replace('DROP', drop),
    headers: { ...(authorization ? { authorization } : {}), 'idempotency-key': 'theirs' },
    ...(payload ? { payload } : {}),
  });
}

test.for(
  routes.flatMap((route) => {
    const others = ['nobody', 'another buyer', 'another merchant'];
    const across = route[2] === 'buyer' ? 'its merchant' : 'its buyer';
    return [...others, across].map((who) => [route, who] as const);
  }),
)('%s is closed to %s', async ([route, who]) => {
  const answer = await send(route, principals[who]);
  expect(answer.statusCode, answer.body).toBe(expected(route[2], who));
  expect(answer.body).not.toContain(order);
  expect(answer.body).not.toContain('ann');
});

test("A caller gets the same answer for what is another's and for what does not exist", async () => {
  const stranger = principals['another buyer'];
  const theirs = await send(['GET', '/v1/orders/ORDER', 'buyer'], stranger);
  const none = await send(
    ['GET', '/v1/orders/ord_aaaaaaaaaaaa_0_AAAAAAAAAAAAAAAAAAAAAA', 'buyer'],
    stranger,
  );
  expect(theirs.body).toBe(none.body);
});

test.for(
  routes.flatMap((route) => [
    [route, '%00'] as const,
    [route, 'a'.repeat(2_000)] as const,
    [route, '%F0%9F%93%B1'] as const,
  ]),
)(
  '%s answers 404 for a text that cannot be an id',
  async ([[method, path, whose, payload], id]) => {
    const answer = await engine.app.inject({
      method,
      url: path.replace('ORDER', id).replace('DROP', id),
      headers: { authorization: principals[`its ${whose}`] ?? '', 'idempotency-key': 'odd' },
      ...(payload ? { payload } : {}),
    });
    expect(answer.statusCode, answer.body).toBe(404);
  },
);

// An import takes no fields: it is refused for its type.
const bodiless = routes.filter(([method, path, , body]) => {
  return method === 'POST' && !body && !path.endsWith('/import');
});

test.for(bodiless)(
  '%s refuses a field that it would ignore, such as a number of units',
  async ([, path, whose]) => {
    const owner = principals[`its ${whose}`];
    const answer = await send(['POST', path, whose, { units: 1 }], owner);
    expect(answer.statusCode, answer.body).toBe(400);
    expect(answer.body).toContain('units');
  },
);

test('Requests of strangers change nothing, and the owners still have access', async () => {
  const seen = await send(['GET', '/v1/orders/ORDER', 'buyer'], principals['its buyer']);
  expect(seen.json()).toMatchObject({ id: order, state: 'reserved' });
  const report = await send(
    ['GET', '/v1/drops/DROP/report', 'merchant'],
    principals['its merchant'],
  );
  expect(report.json()).toMatchObject({ state: 'open', items: [{ allotment: 10, held: 1 }] });
});
