import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { parseJson } from '../../../src/http/request/json.ts';
import { anItem } from '../../support/drops.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
let merchant: Awaited<ReturnType<TestEngine['merchant']>>;
let drop: Drop;

beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), settling: false });
  merchant = await engine.merchant();
  drop = await engine.publish(merchant.id, { items: [anItem({ perBuyer: 9 })] });
});
afterAll(() => engine?.stop());

function send(payload: string | Buffer, headers: Record<string, string> = {}) {
  return engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/orders`,
    headers: {
      ...engine.buyer('ann'),
      'idempotency-key': 'k',
      'content-type': 'application/json',
      ...headers,
    },
    payload,
  });
}

const good = '{"sku":"phone","quantity":1,"payment":{"method":"wallet"}}';
const withQuantity = (text: string) => good.replace('1', text);

describe('A malformed body is 400 with the field and the reason:', () => {
  test.for([
    ['nothing', '', 'body', 'is required'],
    ['a list', '[]', 'body', 'must be an object'],
    ['null', 'null', 'body', 'is required'],
    ['a text', '"phone"', 'body', 'must be an object'],
    ['cut off', good.slice(0, -1), 'body', `ends too early at position ${good.length - 1}`],
    ['cut off in a string', '{"sku":"pho', 'body', 'is not JSON at position 7'],
    ['a stray letter', '{"sku":x}', 'body', 'is not JSON at position 7'],
    ['two values', `${good} {}`, 'body', `is not JSON at position ${good.length + 1}`],
    ['a trailing comma', '{"sku":"a",}', 'body', 'is not JSON at position 11'],
    ['single quotes', "{'sku':1}", 'body', 'is not JSON at position 1'],
    ['a comment', '{/*x*/}', 'body', 'is not JSON at position 1'],
    ['a raw NUL', '{"sku":"a\0b"}', 'body', 'is not JSON at position 7'],
    ['a name twice', good.replace('{', '{"sku":"tablet",'), 'sku', 'is given twice'],
    [
      'a name twice, once escaped',
      good.replace('{', '{"\\u0073ku":"tablet",'),
      'sku',
      'is given twice',
    ],
    [
      'a name twice within',
      good.replace('{"method"', '{"method":"x","method"'),
      'payment.method',
      'is given twice',
    ],
    ['nested deeply', '['.repeat(8_000), 'body', 'is nested deeper than 16 levels'],
    ['1e400', withQuantity('1e400'), 'quantity', 'must be a whole number'],
    ['-1', withQuantity('-1'), 'quantity', 'must be at least 1'],
    ['0', withQuantity('0'), 'quantity', 'must be at least 1'],
    ['1.5', withQuantity('1.5'), 'quantity', 'must be a whole number'],
    ['2^60', withQuantity('1152921504606846976'), 'quantity', 'must be at most 10000'],
    ['10001', withQuantity('10001'), 'quantity', 'must be at most 10000'],
    ['a number as text', withQuantity('"1"'), 'quantity', 'must be a whole number'],
    ['true', withQuantity('true'), 'quantity', 'must be a whole number'],
    ['null', withQuantity('null'), 'quantity', 'must be a whole number'],
    ['no sku', good.replace('"sku":"phone",', ''), 'sku', 'is required'],
    ['no method', good.replace('"method":"wallet"', ''), 'payment.method', 'is required'],
    [
      'an unknown method',
      good.replace('wallet', 'gold'),
      'payment.method',
      'must be wallet, stripe, alipay or wechat_pay',
    ],
    ['an unknown field', good.replace('{', '{"price":1,'), 'price', 'is not a known field'],
    ['__proto__', good.replace('{', '{"__proto__":{"x":1},'), '__proto__', 'is not a known field'],
    ['constructor', good.replace('{', '{"constructor":1,'), 'constructor', 'is not a known field'],
    [
      'an unknown field within',
      good.replace('{"method"', '{"cvc":"1","method"'),
      'payment.cvc',
      'is not a known field',
    ],
    [
      'NUL in the sku',
      good.replace('phone', 'ph\\u0000ne'),
      'sku',
      'must be 1 to 64 letters, digits, dots, dashes or underscores',
    ],
    [
      'an emoji sku',
      good.replace('phone', '📱'),
      'sku',
      'must be 1 to 64 letters, digits, dots, dashes or underscores',
    ],
  ] as const)('%s', async ([, payload, field, reason]) => {
    const answer = await send(payload);
    expect(answer.statusCode, answer.body).toBe(400);
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(answer.json()).toMatchObject({ code: 'invalid_request', type: expect.any(String) });
    expect(answer.json().errors).toContainEqual({ field, reason });
  });

  test('bytes that are not UTF-8', async () => {
    const answer = await send(Buffer.from([0x7b, 0xff, 0x7d]));
    expect(answer.json().errors).toEqual([{ field: 'body', reason: 'is not UTF-8 text' }]);
  });

  test('every wrong field is named in one answer', async () => {
    const answer = await send('{"sku":"","quantity":0,"payment":{}}');
    const fields = answer.json().errors.map((error: { field: string }) => error.field);
    expect(fields.sort()).toEqual(['payment.method', 'quantity', 'sku']);
  });
});

test('A request that was refused reserves nothing', async () => {
  const before = await engine.deps.lanes.inspect({ drop: drop.id, lane: 0 });
  await send(withQuantity('1.5'));
  await send(good.replace('{', '{"sku":"phone",'));
  expect(await engine.deps.lanes.inspect({ drop: drop.id, lane: 0 })).toMatchObject({
    ...before,
    now: expect.any(Number),
  });
  expect(before).toMatchObject({ orders: 0, holds: 0 });
});

test('A Buy over 64 KiB is 413, and one of exactly 64 KiB is read', async () => {
  const pad = (bytes: number) => good + ' '.repeat(bytes - good.length);
  const over = await send(pad(65_537));
  expect(over.statusCode).toBe(413);
  expect(over.json().code).toBe('body_too_large');
  expect((await send(pad(65_536), { 'idempotency-key': 'exact' })).statusCode).toBe(202);
});

test('Any other body of a buyer over 16 KiB is 413, and one of exactly 16 KiB is read', async () => {
  const put = (bytes: number) =>
    engine.app.inject({
      method: 'PUT',
      url: '/v1/wallet/password',
      headers: { ...engine.buyer('ann'), 'content-type': 'application/json' },
      payload: '{}'.padEnd(bytes),
    });
  expect((await put(16_385)).json().code).toBe('body_too_large');
  expect((await put(16_384)).json().code).toBe('invalid_request');
});

test.for(['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'nonsense', ''])(
  'A body of type "%s" is 415',
  async (type) => {
    const answer = await send(good, { 'content-type': type });
    expect(answer.statusCode, answer.body).toBe(415);
    expect(answer.json().code).toBe('unsupported_media_type');
  },
);

test('A charset in the Content-Type header is accepted', async () => {
  const answer = await send(good, {
    'content-type': 'application/json; charset=utf-8',
    'idempotency-key': 'charset',
  });
  expect(answer.statusCode).toBe(202);
});

test('Strict parsing accepts what JSON.parse accepts, except duplicate names', () => {
  for (const text of [
    '{"a":{"b":[1,2,{"c":"x:y\\"\\\\"}]},"d":null,"e":-1.5e-3}',
    '[{"a":1},{"a":2}]',
    '"\\ud83d\\ude00"',
    ' 1 ',
  ]) {
    expect(parseJson(text)).toEqual(JSON.parse(text));
  }
});

describe('A new drop is refused with a wrong', () => {
  const now = Date.now();
  const at = (offsetMs: number) => new Date(now + offsetMs).toISOString();
  const item = { sku: 'phone', title: 'A phone', unitAmount: 1, allotment: 1, perBuyer: 1 };
  const draft = {
    title: 'Noon',
    currency: 'CNY',
    startsAt: at(60_000),
    endsAt: at(120_000),
    items: [item],
  };
  const create = (payload: object) =>
    engine.app.inject({
      method: 'POST',
      url: '/v1/drops',
      headers: { authorization: merchant.authorization },
      payload,
    });

  test.for([
    ['window in the past', { startsAt: at(-7_200_000), endsAt: at(-3_600_000) }, 'startsAt'],
    ['end before its start', { endsAt: at(30_000) }, 'endsAt'],
    ['end at its start', { endsAt: at(60_000) }, 'endsAt'],
    ['time without an offset', { startsAt: '2030-01-01T00:00:00' }, 'startsAt'],
    ['time that no calendar has', { startsAt: '2030-02-30T00:00:00Z' }, 'startsAt'],
    ['time as a number', { startsAt: 1 }, 'startsAt'],
    ['list of no items', { items: [] }, 'items'],
    ['list of 21 items', { items: Array.from({ length: 21 }, () => item) }, 'items'],
    ['sku twice', { items: [item, item] }, 'items[1].sku'],
    ['sku with a blank', { items: [{ ...item, sku: 'a b' }] }, 'items[0].sku'],
    ['allotment of 0', { items: [{ ...item, allotment: 0 }] }, 'items[0].allotment'],
    [
      'allotment over 10,000,000',
      { items: [item, { ...item, sku: 'b', allotment: 10_000_001 }] },
      'items[1].allotment',
    ],
    ['price of 0', { items: [{ ...item, unitAmount: 0 }] }, 'items[0].unitAmount'],
    ['price of 1.5', { items: [{ ...item, unitAmount: 1.5 }] }, 'items[0].unitAmount'],
    [
      'price times limit beyond sums that stay exact',
      { items: [{ ...item, unitAmount: 1_000_000_000_000, perBuyer: 2 }] },
      'items[0].unitAmount',
    ],
    ['limit of 0 per buyer', { items: [{ ...item, perBuyer: 0 }] }, 'items[0].perBuyer'],
    ['limit of 0 for the whole drop', { perBuyer: 0 }, 'perBuyer'],
    ['limit of a half for the whole drop', { perBuyer: 0.5 }, 'perBuyer'],
    ['currency that does not exist', { currency: 'XQX' }, 'currency'],
    ['currency in small letters', { currency: 'cny' }, 'currency'],
    ['hold of a millisecond', { holdMs: 1 }, 'holdMs'],
    ['hold of a day', { holdMs: 86_400_000 }, 'holdMs'],
    ['unpaid hold longer than the hold', { holdMs: 5_000, unpaidHoldMs: 5_001 }, 'unpaidHoldMs'],
    ['unpaid hold of a millisecond', { unpaidHoldMs: 1 }, 'unpaidHoldMs'],
    ['number of lapses of 0', { lapsesMax: 0 }, 'lapsesMax'],
    ['title of nothing', { title: '' }, 'title'],
    ['title of control characters', { title: 'a\u0007b' }, 'title'],
    ['title with half a surrogate pair', { title: 'a\ud800' }, 'title'],
    ['title of 201 characters', { title: 'a'.repeat(201) }, 'title'],
    ['password above less than nothing', { passwordAbove: -1 }, 'passwordAbove'],
    ['password above half a cent', { passwordAbove: 0.5 }, 'passwordAbove'],
    ['password above a text', { passwordAbove: '100' }, 'passwordAbove'],
    ['rule that is none', { lateCapture: 'keep' }, 'lateCapture'],
    ['field too many', { lanes: 4 }, 'lanes'],
  ] as const)('%s is refused by name', async ([, change, field]) => {
    const answer = await create({ ...draft, ...change });
    expect(answer.statusCode, answer.body).toBe(400);
    const fields = answer.json().errors.map((error: { field: string }) => error.field);
    expect(fields).toContain(field);
  });

  test('nothing: a valid draft is created, with defaults for the fields left out', async () => {
    const answer = await create({ ...draft, title: '小米 2 · 正午 📱' });
    expect(answer.statusCode, answer.body).toBe(201);
    expect(answer.json()).toMatchObject({
      title: '小米 2 · 正午 📱',
      state: 'draft',
      holdMs: 300_000,
      lateCapture: 'retake',
      passwordAbove: null,
      perBuyer: null,
      unpaidHoldMs: 60_000,
      lapsesMax: 3,
      startsAt: draft.startsAt,
    });
  });
});
