import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Outcome, PaymentProvider, PaymentRef } from '../../../src/payments/provider.ts';
import { anItem } from '../../support/drops.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { openStage, type Stage } from '../stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

const price = anItem().unitAmount;
const runs = 20;

/** A provider that has captured everything and says of every refund that it is on its way. */
function aSlowReturner() {
  const asked: string[] = [];
  const captured = async (payments: readonly PaymentRef[]): Promise<Outcome[]> =>
    payments.map(({ reference }) => ({ reference, kind: 'captured', amount: price }));
  const provider: Partial<PaymentProvider> = {
    startedBy: 'engine',
    start: captured,
    lookUp: captured,
    close: captured,
    async refund(refunds) {
      asked.push(...refunds.map(({ refundReference }) => refundReference));
      return refunds.map(({ refundReference }) => ({ refundReference, kind: 'pending' }));
    },
  };
  return { provider, asked };
}

async function redriven(desk: ReturnType<Stage['settlement']>) {
  for (let run = 1; run <= runs; run += 1) await desk.background().redrive.runOnce();
}

test('Slow refunds of a cancelled drop are not requested again in every run of the redrive', async () => {
  const { provider, asked } = aSlowReturner();
  const desk = stage.settlement({ provider });
  await desk.start();
  const drop = await stage.publish();
  const [id] = await stage.reserve(drop, ['cancelled-slowly'], { fund: 0 });
  await stage.reaches(id, 'paid');
  const { merchantId } = drop;
  await desk.publishing.act({ merchantId, drop: drop.id, action: 'cancel' });
  await eventually(() => asked.length > 0);
  await redriven(desk);
  expect(asked.length).toBeLessThan(runs / 2);
  // Nor do they stand in the way of those that nobody has asked for.
  expect(await stage.ledger.orders.toRefund({ limit: 500 })).toEqual([]);
  await desk.stop();
});

test('Slow refunds of late captures are not requested again in every run of the redrive', async () => {
  const { provider, asked } = aSlowReturner();
  const desk = stage.settlement({ provider });
  const drop = await stage.publish();
  const [id] = await stage.reserve(drop, ['late-slowly'], { fund: 0 });
  const start = { orderId: id, drop: drop.id, provider: 'wallet', amount: price, currency: 'CNY' };
  await stage.ledger.payments.begin([start]);
  await desk.orders.cancel(id);
  await desk.start();
  await eventually(() => asked.length > 0);
  await redriven(desk);
  expect(asked.length).toBeLessThan(runs / 2);
  await desk.stop();
});
