import { afterAll, beforeAll, expect, test } from 'vitest';
import { reportBody } from '../../../src/http/schemas/reports.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl() });
});
afterAll(() => engine?.stop());

const page = () => engine.deps.metrics.text();
const logged = (text: string) => engine.logged.filter((line) => line.includes(text));

async function refundAndAdjust(authorization: string, { drop, order }: Record<string, string>) {
  const send = async (url: string, key: string, payload?: object) => {
    const headers = { authorization, 'idempotency-key': key };
    const sent = payload ? { headers, payload } : { headers };
    const answer = await engine.app.inject({ method: 'POST', url, ...sent });
    expect(answer.statusCode, answer.body).toBeLessThan(300);
  };
  await send(`/v1/drops/${drop}/items/phone/adjustments`, 'a', { delta: 3, reason: 'found' });
  await send(`/v1/orders/${order}/refund`, 'b', { amount: 10, reason: 'scratch' });
  await send(`/v1/orders/${order}/refund`, 'b', { amount: 10, reason: 'scratch' });
}

test('Refused credentials of every kind of caller are counted, and a flood of them leaves few lines in the log', async () => {
  const forged = 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA';
  for (let n = 0; n < 50; n += 1) {
    await engine.app.inject({ url: '/v1/wallet', headers: { authorization: forged } });
    const authorization = `Bearer fdk_${'abcdefghjkmn'}_${String(n).padStart(43, 'x')}`;
    await engine.app.inject({ url: '/v1/drops', headers: { authorization } });
  }
  await engine.app.inject({ url: '/v1/wallet' });
  const text = await page();
  for (const series of [
    'flashdrop_unauthorized_total{caller="buyer",reason="invalid"} 50',
    'flashdrop_unauthorized_total{caller="merchant",reason="invalid"} 50',
    'flashdrop_unauthorized_total{caller="buyer",reason="missing"} 1',
  ]) {
    expect(text).toContain(series);
  }
  for (const caller of ['buyer', 'merchant']) {
    const lines = logged(`credentials of a ${caller} refused`);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(10);
    expect(lines[0]).toContain('last from 127.0.0.1');
  }
  expect(engine.logged.join()).not.toContain('eyJhbGciOiJIUzI1NiJ9');
});

test('A payment password that is locked leaves a line in the log and a count', async () => {
  const put = (payload: object) =>
    engine.app.inject({
      method: 'PUT',
      url: '/v1/wallet/password',
      headers: engine.buyer('robbed'),
      payload,
    });
  await put({ password: '280193' });
  for (let n = 0; n < 6; n += 1) await put({ password: '904418', current: '280194' });
  expect(logged('payment password locked')).toHaveLength(1);
  const text = await page();
  expect(text).toContain('flashdrop_wallet_password_checks_total{outcome="lock"} 1');
  expect(text).toContain('flashdrop_wallet_password_checks_total{outcome="wrong"} 5');
  expect(text).toContain('flashdrop_wallet_password_checks_total{outcome="locked"} 1');
});

test('The report names the API key that made each refund and each change of stock, once, and no secret of it', async () => {
  const { id, apiKey, authorization } = await engine.merchant();
  const drop = await engine.publish(id);
  await engine.fund('ann');
  const bought = await engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/orders`,
    headers: { ...engine.buyer('ann'), 'idempotency-key': 'k' },
    payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
  });
  const order = bought.json().id;
  await eventually(async () => (await engine.ledger.orders.get(order))?.state === 'paid');
  await refundAndAdjust(authorization, { drop: drop.id, order });
  const second = `Bearer ${await engine.ledger.merchants.issueKey(id)}`;
  await refundAndAdjust(second, { drop: drop.id, order });
  const answer = await engine.app.inject({
    url: `/v1/drops/${drop.id}/report`,
    headers: { authorization },
  });
  const { actions } = reportBody.parse(answer.json());
  const actor = apiKey.slice(0, 'fdk_'.length + 12);
  expect(actions).toHaveLength(2);
  expect(actions).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        ...{ kind: 'adjustment', actor, subject: 'phone', amount: 3, reason: 'found' },
      }),
      expect.objectContaining({
        ...{ kind: 'refund', actor, subject: order, amount: 10, reason: 'scratch' },
      }),
    ]),
  );
  expect(answer.body).not.toContain(apiKey.slice(-20));
});
