import { createConfig, lintFromString } from '@redocly/openapi-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { examples } from '../../../src/http/schemas/examples.ts';
import { type OpenApiDocument, operationsOf } from '../../../src/http/server/openapi.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

const operatorKey = 'an operator key of the tests, long enough';

let engine: TestEngine;
let document: OpenApiDocument & { servers?: { url: string }[]; tags?: unknown };
beforeAll(async () => {
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settings: { demo: true },
    operatorKey,
  });
  document = (await engine.app.inject('/openapi.json')).json();
});
afterAll(() => engine?.stop());

const json = 'application/json';

/**
 * Rules of Redocly's recommended set that do not fit: the engine cannot know its own address, and some
 * routes refuse nothing but what any route may.
 */
const left = { 'no-server-example.com': 'off', 'operation-4xx-response': 'off' } as const;

test('the OpenAPI document passes the linter: valid, every reference leads somewhere, examples fit their schemas', async () => {
  const config = await createConfig({ extends: ['recommended'], rules: left });
  const problems = await lintFromString({
    source: JSON.stringify(document),
    absoluteRef: 'openapi.json',
    config,
  });
  const told = problems.map(({ severity, ruleId, message, location }) => {
    return `${severity} ${ruleId}: ${message} (${location[0]?.pointer})`;
  });
  expect(told).toEqual([]);
});

test('every operation has a name of its own, a summary, a tag and named types, for clients that are generated', () => {
  expect(document.servers?.map(({ url }) => url)).toEqual(['/']);
  const ids = new Set<string>();
  for (const { operation, id, method, path } of operationsOf(document)) {
    const name = `${method} ${path}`;
    expect(operation.operationId, name).toBe(id);
    expect(id, name).toMatch(/^[a-z][A-Za-z0-9]+$/);
    expect(ids.has(id), `${id} twice`).toBe(false);
    ids.add(id);
    expect(operation, name).toMatchObject({
      summary: expect.any(String),
      tags: [expect.any(String)],
    });
    const { requestBody, responses = {} } = operation;
    for (const part of [requestBody, ...Object.values(responses)]) {
      expect(part?.content?.[json]?.schema?.['type'], name).not.toBe('object');
    }
  }
  expect(ids.size).toBeGreaterThan(25);
  const { schemas = {} } = document.components ?? {};
  for (const name of ['Drop', 'Order', 'Card', 'AcceptedBuy', 'CreateDropRequest', 'Problem']) {
    expect(schemas, name).toHaveProperty(name);
  }
});

test('every operation that takes JSON has an example, and each works as it stands', async () => {
  const tried = new Set<string>();
  const bodies = new Map<string, { method: string; path: string; example: unknown }>();
  for (const { operation, id, method, path } of operationsOf(document)) {
    const body = operation.requestBody?.content?.[json];
    if (!body || takesNothing(body.schema)) continue;
    expect(body.example, `${id} has no example`).toEqual(examples[id]);
    expect(body.example, id).toBeDefined();
    bodies.set(id, { method, path, example: body.example });
  }

  const { authorization } = await engine.merchant();
  const ada = engine.buyer('ada');
  let keys = 0;
  async function send(
    id: string,
    { as, into = {} }: { as?: { authorization: string }; into?: Record<string, string> },
  ) {
    const { method, path, example } = bodies.get(id) ?? {};
    if (method === undefined || path === undefined) throw new Error(`${id} has no example`);
    tried.add(id);
    keys += 1;
    const answer = await engine.app.inject({
      method: method.toUpperCase() as 'POST',
      url: path.replaceAll(/\{(\w+)\}/g, (_, name: string) => into[name] ?? name),
      headers: { ...as, 'idempotency-key': `example-${keys}` },
      payload: example as object,
    });
    expect(answer.statusCode, `${id}: ${answer.body}`).toBeLessThan(300);
    return answer.body === '' ? {} : answer.json();
  }

  const merchant = { as: { authorization } };
  const { id: drop } = await send('createDrop', merchant);
  await send('editDrop', { ...merchant, into: { drop } });
  await send('duplicateDrop', { ...merchant, into: { drop } });
  await engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop}/publish`,
    headers: merchant.as,
  });
  await send('adjustStock', { ...merchant, into: { drop, sku: 'phone-16gb' } });

  await send('mintToken', {});
  await send('mintCrowd', {});
  await send('startTopUp', { as: ada });
  await send('setPaymentPassword', { as: ada });
  // The same drop, opened (the example's own opens in years), and paid for by the buyer.
  const created = await engine.app.inject({
    method: 'POST',
    url: '/v1/drops',
    headers: merchant.as,
    payload: {
      ...(examples['createDrop'] as object),
      startsAt: new Date().toISOString(),
      passwordAbove: 0,
    },
  });
  const { id: open } = created.json();
  await engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${open}/publish`,
    headers: merchant.as,
  });
  const order = await eventually(async () => {
    const bought = await send('buy', { as: ada, into: { drop: open } });
    return bought.id as string;
  });
  await send('startPayment', { as: ada, into: { order } });
  await eventually(async () => {
    const seen = await engine.app.inject({ url: `/v1/orders/${order}`, headers: ada });
    return seen.json().state === 'paid';
  });
  await send('refundOrder', { ...merchant, into: { order } });
  await send('listMovements', {});
  const operator = { as: { authorization: `Bearer ${operatorKey}` } };
  await send('reconcile', operator);
  await send('createMerchant', operator);
  await send('revokeKey', operator);
  // The example's merchant: a key is issued to one that exists.
  const named = examples['issueKey'] as { merchant: string };
  await engine.ledger.database.query(
    `insert into merchants (id, name, created_at) values ($1, 'Corner shop', 0)`,
    [named.merchant],
  );
  await send('issueKey', operator);
  expect([...bodies.keys()].filter((id) => !tried.has(id))).toEqual([]);
  expect(Object.keys(examples).filter((id) => !bodies.has(id))).toEqual([]);
});

/** A body without any field, or none at all. */
function takesNothing(schema: Record<string, unknown> | undefined): boolean {
  const name = /([^/]+)$/.exec(String(schema?.['$ref'] ?? ''))?.[1];
  const named = name === undefined ? schema : document.components?.schemas?.[name];
  return Object.keys((named?.['properties'] ?? {}) as object).length === 0;
}
