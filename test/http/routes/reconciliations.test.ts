import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { anOrderId } from '../../support/ids.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

const operatorKey = 'the key of whoever runs the engine, in tests';
const url = '/v1/reconciliations';

let engine: TestEngine;
beforeAll(async () => {
  const timings = { differenceGraceMs: 20 };
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), operatorKey, timings });
});
afterAll(() => engine?.stop());

function ask(authorization: string | undefined, payload: object = {}) {
  const headers = authorization === undefined ? {} : { authorization };
  return engine.app.inject({ method: 'POST', url, headers, payload });
}

describe('A reconciliation on demand', () => {
  test('reports the differences to the operator', async () => {
    const merchant = await engine.merchant();
    const drop = await engine.publish(merchant.id);
    await engine.fund('buyer-1');
    const bought = await engine.app.inject({
      method: 'POST',
      url: `/v1/drops/${drop.id}/orders`,
      headers: { ...engine.buyer('buyer-1'), 'idempotency-key': 'k' },
      payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
    });
    const id = anOrderId(bought.json().id);
    await eventually(async () => (await engine.ledger.orders.get(id))?.state === 'paid');
    const clean = await ask(`Bearer ${operatorKey}`);
    expect(clean.statusCode).toBe(200);
    expect(clean.json()).toMatchObject({ outcome: 'clean', differences: [] });

    await engine.ledger.database.query('delete from payments where order_id = $1', [id]);
    const { outcome, differences } = (await ask(`Bearer ${operatorKey}`, { sinceHours: 1 })).json();
    expect(outcome).toBe('alarm');
    expect(differences).toMatchObject([
      { kind: 'unknown_capture', order: '', provider: 'wallet', done: 'alarm' },
      { kind: 'paid_without_capture', order: id, done: 'alarm' },
    ]);
    await eventually(async () => {
      const page = await engine.deps.metrics.text();
      expect(page).toContain('flashdrop_reconcile_differences{kind="paid_without_capture"} 1');
      expect(page).toMatch(/flashdrop_reconcile_last_seconds \d/);
      return true;
    });
  });

  test('is refused to anybody but the operator', async () => {
    const { authorization } = await engine.merchant();
    const others = [undefined, authorization, engine.buyer('b').authorization, 'Bearer nonsense'];
    for (const other of others) {
      const answer = await ask(other);
      expect([answer.statusCode, answer.json().code]).toEqual([401, 'unauthorized']);
    }
  });

  test.each([{ sinceHours: 0 }, { sinceHours: 2_161 }, { sinceHours: '1' }, { hours: 1 }])(
    'is refused with a wrong window: %j',
    async (payload) => {
      const answer = await ask(`Bearer ${operatorKey}`, payload);
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request']);
    },
  );

  test('does not exist where no operator key is set', async () => {
    const other = await startTestEngine({ redisUrl: sharedRedisUrl(), settling: false });
    const headers = { authorization: 'Bearer undefined' };
    const answer = await other.app.inject({ method: 'POST', url, headers, payload: {} });
    expect(answer.statusCode).toBe(404);
    await other.stop();
  });
});
