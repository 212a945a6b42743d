import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MerchantId } from '../../../src/domain/ids.ts';
import { boughtBody } from '../../../src/http/schemas/orders.ts';
import { anItem } from '../../support/drops.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { roomInWindow } from '../../support/windows.ts';

let engine: TestEngine;
let merchantId: MerchantId;

beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), settling: false });
  merchantId = (await engine.merchant()).id;
});
afterAll(() => engine?.stop());

type Press = {
  buyer?: string;
  key?: string;
  sku?: string;
  quantity?: number;
  headers?: Record<string, string>;
};

const sizes = () => ['size-41', 'size-42', 'size-43'].map((sku) => anItem({ sku, perBuyer: 3 }));

function press(drop: { id: string }, { buyer = 'ann', key = 'k1', ...rest }: Press = {}) {
  const { sku = 'phone', quantity = 1, headers = {} } = rest;
  return engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/orders`,
    headers: { ...engine.buyer(buyer), 'idempotency-key': key, ...headers },
    payload: { sku, quantity, payment: { method: 'wallet' } },
  });
}

type Wait = { retryAfterMs: number; seconds: number; askedAt: number; answeredAt: number };

/** The wait that a refusal tells, and between which instants it was told. */
async function waits(ask: () => ReturnType<typeof press>): Promise<Wait> {
  const askedAt = Date.now();
  const answer = await ask();
  const seconds = Number(answer.headers['retry-after']);
  return { ...answer.json(), seconds, askedAt, answeredAt: Date.now() };
}

/** A wait ends at the instant or up to some seconds later, and never before it. */
function expectEnd({ retryAfterMs, seconds, askedAt, answeredAt }: Wait, at: number): void {
  expect(answeredAt + retryAfterMs).toBeGreaterThanOrEqual(at);
  expect(askedAt + retryAfterMs).toBeLessThan(at + 10_000);
  expect(seconds).toBe(Math.ceil(retryAfterMs / 1_000));
}

describe('An accepted Buy', () => {
  test('answers 202 with the order and where to find it', async () => {
    const drop = await engine.publish(merchantId);
    const answer = await press(drop);
    expect(answer.statusCode, answer.body).toBe(202);
    const body = boughtBody.parse(answer.json());
    expect(body).toMatchObject({ sku: 'phone', quantity: 1, amount: 199_900, currency: 'CNY' });
    expect(answer.headers.location).toBe(`/v1/orders/${body.id}`);
    expect(answer.headers['idempotency-replayed']).toBeUndefined();
    const order = await engine.app.inject({
      url: answer.headers.location as string,
      headers: engine.buyer('ann'),
    });
    expect(order.json()).toMatchObject({ id: body.id, state: 'reserved', sku: 'phone' });
  });

  test('gets the same bytes when its key is sent again, bare or quoted', async () => {
    const drop = await engine.publish(merchantId);
    const first = await press(drop);
    for (const key of ['k1', '"k1"']) {
      const again = await press(drop, { key });
      expect(again.statusCode).toBe(202);
      expect(again.body).toBe(first.body);
      expect(again.headers['idempotency-replayed']).toBe('true');
    }
  });

  test('is one order for a hundred concurrent requests with its key', async () => {
    const drop = await engine.publish(merchantId);
    const answers = await Promise.all(Array.from({ length: 100 }, () => press(drop)));
    expect(new Set(answers.map((answer) => answer.body)).size).toBe(1);
    expect(answers.filter((answer) => !answer.headers['idempotency-replayed'])).toHaveLength(1);
  });
});

describe('A Buy', () => {
  test('with a used key and another body is 422, and the first order is unchanged', async () => {
    const drop = await engine.publish(merchantId, { items: [anItem({ perBuyer: 5 })] });
    const first = await press(drop);
    const other = await press(drop, { quantity: 2 });
    expect(other.statusCode).toBe(422);
    expect(other.json().code).toBe('idempotency_key_reused');
    expect((await press(drop)).body).toBe(first.body);
  });

  test('A Buy beyond the limit per buyer is refused with the limit and the order that holds the unit', async () => {
    const drop = await engine.publish(merchantId, { items: [anItem({ perBuyer: 2 })] });
    const first = await press(drop, { quantity: 2 });
    const second = await press(drop, { key: 'k2' });
    expect(second.statusCode).toBe(409);
    const order = first.json().id;
    expect(second.json()).toMatchObject({ code: 'buyer_limit', limit: 2, scope: 'item', order });
  });

  test('A Buy beyond the limit per buyer names no order that does not keep units, and says what to do instead', async () => {
    const drop = await engine.publish(merchantId, { items: [anItem({ perBuyer: 2 })] });
    const tooMany = await press(drop, { key: 'k3', quantity: 3 });
    await press(drop);
    const last = (await press(drop, { key: 'k2' })).json().id;
    const url = `/v1/orders/${last}/cancel`;
    await engine.app.inject({ method: 'POST', url, headers: engine.buyer('ann') });
    const afterwards = await press(drop, { key: 'k4', quantity: 2 });
    for (const answer of [tooMany, afterwards]) {
      expect(answer.json()).toMatchObject({ code: 'buyer_limit', limit: 2, scope: 'item' });
      expect(answer.json()).not.toHaveProperty('order');
      expect(answer.json().detail).toContain('Ask for fewer units');
    }
  });

  test('is answered all_held while units may come back, with the time to try again', async () => {
    const drop = await engine.publish(merchantId, { items: [anItem({ allotment: 1 })] });
    await press(drop);
    const answer = await press(drop, { buyer: 'bob' });
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({ code: 'all_held', available: 0 });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1);
  });

  test('While all units are held, retryAfterMs leads to the end of the hold, whether the lane or the memory of the process answers', async () => {
    const holdMs = 600_000;
    const drop = await engine.publish(merchantId, { holdMs, items: [anItem({ allotment: 1 })] });
    const { expiresAt } = (await press(drop)).json();
    const fromLane = await waits(() => press(drop, { buyer: 'bob' }));
    await eventually(() => engine.deps.catalog.peek(drop.id)?.items[0]?.available === 0);
    const fromMemory = await waits(() => press(drop, { buyer: 'bob' }));
    for (const wait of [fromLane, fromMemory]) expectEnd(wait, Date.parse(expiresAt));
  });

  test('is answered sold_out once the last unit is paid', async () => {
    const drop = await engine.publish(merchantId, { items: [anItem({ allotment: 1 })] });
    const id = (await press(drop)).json().id as string;
    await engine.deps.lanes.confirm({ drop: drop.id, lane: 0 }, [id.slice(-22)]);
    // A look from before the unit was paid may refuse once more with all_held.
    const answer = await eventually(async () => {
      const told = await press(drop, { buyer: 'bob' });
      return told.json().code === 'sold_out' && told;
    });
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({ code: 'sold_out', available: 0 });
    expect(answer.headers['retry-after']).toBeUndefined();
  });

  test('for a drop known to be sold out is refused before its body is read; a key with an order still gets it, and added stock lifts the refusal', async () => {
    const drop = await engine.publish(merchantId, { items: [anItem({ allotment: 1 })] });
    const ref = { drop: drop.id, lane: 0 };
    const first = await press(drop);
    await engine.deps.lanes.confirm(ref, [first.json().id.slice(-22)]);
    await eventually(async () => {
      // What no Buy may say is not even looked at.
      const answer = await press(drop, { buyer: 'bob', quantity: -1 });
      return answer.json().code === 'sold_out';
    });
    expect((await press(drop)).body).toBe(first.body);
    expect((await press(drop, { quantity: 2 })).json().code).toBe('idempotency_key_reused');
    const unsigned = { authorization: 'Bearer nobody' };
    expect((await press(drop, { headers: unsigned })).statusCode).toBe(401);
    const more = { id: 'adj_1', item: 0, delta: 1, reason: 'found one' };
    await engine.deps.lanes.adjust(ref, more);
    await eventually(async () => (await press(drop, { buyer: 'bob' })).statusCode === 202);
  });

  test('before the opening is refused with the time of the opening', async () => {
    const startsAt = Date.now() + 60_000;
    const drop = await engine.publish(merchantId, { startsAt, endsAt: startsAt + 60_000 });
    const answer = await press(drop);
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({
      code: 'drop_not_open',
      startsAt: new Date(startsAt).toISOString(),
    });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(50);
  });

  test('Before the opening, retryAfterMs is exact to the millisecond, and Retry-After is never shorter', async () => {
    const startsAt = Date.now() + 60_000;
    const drop = await engine.publish(merchantId, { startsAt, endsAt: startsAt + 60_000 });
    const found: Wait[] = [];
    for (let n = 0; n < 10; n += 1) found.push(await waits(() => press(drop)));
    for (const wait of found) expectEnd(wait, startsAt);
    expect(found.some(({ retryAfterMs }) => retryAfterMs % 1_000 !== 0)).toBe(true);
  });

  test.for([
    ['pause', 409, 'drop_paused'],
    ['end', 410, 'drop_ended'],
    ['cancel', 410, 'drop_ended'],
  ] as const)('after %s is %i %s', async ([action, status, code]) => {
    const drop = await engine.publish(merchantId);
    await engine.services.publishing.act({ merchantId, drop: drop.id, action });
    const answer = await press(drop);
    expect(answer.statusCode).toBe(status);
    expect(answer.json().code).toBe(code);
  });

  test('for an unknown drop or item is 404', async () => {
    const drop = await engine.publish(merchantId);
    expect((await press(drop, { sku: 'tablet' })).json()).toMatchObject({
      status: 404,
      code: 'unknown_item',
    });
    for (const id of ['drop_aaaaaaaaaaaa', 'nonsense', '..%2f..', '%00']) {
      expect((await press({ id })).json()).toMatchObject({ status: 404, code: 'unknown_drop' });
    }
  });

  test('for a draft is answered like one for a drop that does not exist', async () => {
    const merchant = await engine.merchant();
    const created = await engine.app.inject({
      method: 'POST',
      url: '/v1/drops',
      headers: { authorization: merchant.authorization },
      payload: {
        title: 'Noon',
        currency: 'CNY',
        startsAt: new Date(Date.now() + 1_000).toISOString(),
        endsAt: new Date(Date.now() + 60_000).toISOString(),
        items: [{ sku: 'phone', title: 'A phone', unitAmount: 1, allotment: 1, perBuyer: 1 }],
      },
    });
    expect(created.statusCode, created.body).toBe(201);
    expect((await press(created.json())).json().code).toBe('unknown_drop');
  });
});

describe('The Idempotency-Key', () => {
  test('is required', async () => {
    const drop = await engine.publish(merchantId);
    const answer = await engine.app.inject({
      method: 'POST',
      url: `/v1/drops/${drop.id}/orders`,
      headers: engine.buyer('ann'),
      payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().code).toBe('idempotency_key_missing');
  });

  test.for([
    ['empty', ''],
    ['quoted and empty', '""'],
    ['longer than 128', 'x'.repeat(129)],
    ['10 KB long', 'x'.repeat(8_000)],
    ['two at once', 'a, b'],
    ['half quoted', '"abc'],
    ['not ASCII', 'caf\u00e9'],
    ['with a control byte', 'a\tb'],
    ['quoted with parameters', '"abc";a=1'],
  ] as const)('%s is refused with the header named', async ([, key]) => {
    const drop = await engine.publish(merchantId);
    const answer = await press(drop, { key });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'invalid_request' });
    expect(answer.json().errors[0].field).toBe('Idempotency-Key');
  });

  test('may have 128 characters, or be quoted with blanks and escapes', async () => {
    const drop = await engine.publish(merchantId, { items: [anItem({ perBuyer: 5 })] });
    expect((await press(drop, { key: 'x'.repeat(128) })).statusCode).toBe(202);
    expect((await press(drop, { key: '"a b \\"c\\" \\\\"' })).statusCode).toBe(202);
  });

  test('of one buyer is another key than the same text of another buyer, whose order stays hidden', async () => {
    const drop = await engine.publish(merchantId);
    const anns = (await press(drop, { key: 'shared' })).json();
    const bobs = (await press(drop, { buyer: 'bob', key: 'shared' })).json();
    expect(bobs.id).not.toBe(anns.id);
    expect(bobs.state).toBe('reserved');
  });
});

test('A buyer who sends too many Buys is limited alone, and told for how long', async () => {
  const small = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    ledger: engine.ledger,
    settling: false,
    settings: { budgets: { buyer: 5 } },
  });
  try {
    const { id } = await small.merchant();
    const drop = await small.publish(id);
    const send = (buyer: string) =>
      small.app.inject({
        method: 'POST',
        url: `/v1/drops/${drop.id}/orders`,
        headers: { ...small.buyer(buyer), 'idempotency-key': 'k' },
        payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
      });
    const codes: number[] = [];
    await roomInWindow();
    for (let n = 0; n < 6; n += 1) codes.push((await send('ann')).statusCode);
    expect(codes).toEqual([202, 202, 202, 202, 202, 429]);
    const refused = await send('ann');
    expect(refused.json().code).toBe('rate_limited');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect((await send('bob')).statusCode).toBe(202);
  } finally {
    await small.stop();
  }
});

test('A Buy beyond the limit of the drop over all items is refused with the limit and an order that keeps units', async () => {
  const drop = await engine.publish(merchantId, { perBuyer: 1, items: sizes() });
  const first = await press(drop, { sku: 'size-42' });
  expect(first.statusCode, first.body).toBe(202);
  for (const { sku } of sizes()) {
    const other = await press(drop, { sku, key: `k-${sku}` });
    expect(other.statusCode).toBe(409);
    expect(other.json()).toMatchObject({ code: 'buyer_limit', limit: 1, scope: 'drop' });
    expect(other.json().order).toBe(first.json().id);
  }
  expect((await press(drop, { sku: 'size-42' })).body).toBe(first.body);
  expect((await press(drop, { buyer: 'bob', sku: 'size-43' })).statusCode).toBe(202);
  await engine.app.inject({
    method: 'POST',
    url: `/v1/orders/${first.json().id}/cancel`,
    headers: engine.buyer('ann'),
  });
  expect((await press(drop, { sku: 'size-41', key: 'k-41' })).statusCode).toBe(202);
});

test('A buyer gets no more units of all items together than the drop allows, whatever sizes, tabs and keys they use', async () => {
  const drop = await engine.publish(merchantId, { perBuyer: 4, lanes: 4, items: sizes() });
  const presses = Array.from({ length: 60 }, (_, n) => {
    const sku = sizes()[n % 3]?.sku ?? '';
    return press(drop, { sku, quantity: 1 + (n % 2), key: `tab-${n}` });
  });
  const answers = await Promise.all(presses);
  const units = answers
    .filter((answer) => answer.statusCode === 202)
    .reduce((sum, answer) => sum + answer.json().quantity, 0);
  expect(units).toBe(4);
});

test('A drop without a limit of its own holds buyers to the limits of its items alone', async () => {
  const drop = await engine.publish(merchantId, { items: sizes() });
  for (const { sku } of sizes()) {
    expect((await press(drop, { sku, quantity: 3, key: sku })).statusCode).toBe(202);
    const over = await press(drop, { sku, key: `${sku}-more` });
    expect(over.json()).toMatchObject({ code: 'buyer_limit', limit: 3, scope: 'item' });
  }
  const card = await engine.app.inject(`/v1/drops/${drop.id}`);
  expect(card.json()).toMatchObject({ perBuyer: null });
});

test('A buyer whose orders ended unpaid as often as the drop allows is refused for the rest of the drop', async () => {
  const items = sizes();
  const drop = await engine.publish(merchantId, { lapsesMax: 2, lanes: 2, items });
  for (const key of ['k1', 'k2']) {
    const { id } = (await press(drop, { sku: 'size-41', key })).json();
    const url = `/v1/orders/${id}/cancel`;
    await engine.app.inject({ method: 'POST', url, headers: engine.buyer('ann') });
  }
  for (const { sku } of items) {
    const refused = await press(drop, { sku, key: `again-${sku}` });
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([409, undefined]);
    expect(refused.json()).toMatchObject({ code: 'lapse_limit', lapses: 2, limit: 2 });
  }
  expect((await press(drop, { sku: 'size-41', key: 'k1' })).statusCode).toBe(202);
  expect((await press(drop, { sku: 'size-41', buyer: 'bob' })).statusCode).toBe(202);
  const card = await engine.app.inject(`/v1/drops/${drop.id}`);
  expect(card.json()).toMatchObject({ lapsesMax: 2 });
});

test('Buys are counted by outcome in the metrics', async () => {
  const drop = await engine.publish(merchantId);
  await press(drop);
  await eventually(async () => {
    const page = await engine.deps.metrics.text();
    return /flashdrop_buys_total\{outcome="reserved"\} [1-9]/.test(page);
  });
});
