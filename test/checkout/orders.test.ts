import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OrderView } from '../../src/checkout/order-view.ts';
import { openStage, type Stage } from '../settlement/stage.ts';
import { anItem } from '../support/drops.ts';
import { anOrderId } from '../support/ids.ts';
import { sharedRedisUrl } from '../support/redis.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
  await stage.settlement().start();
});
afterAll(() => stage.close());

test('a crowd that asks for its paid orders at once is told each its own, and the ledger is asked twice at most', async () => {
  const buyers = Array.from({ length: 60 }, (_, n) => `buyer-${n}`);
  const drop = await stage.publish({ items: [anItem({ allotment: 100 })] });
  const ids = await stage.reserve(drop, buyers);
  for (const id of ids) await stage.reaches(id, 'paid');
  let asked = 0;
  const { ledger } = stage;
  const { orders } = stage.settlement({
    ledger: {
      ...ledger,
      orders: {
        ...ledger.orders,
        receipts(some) {
          asked += 1;
          return ledger.orders.receipts(some);
        },
      },
    },
  });
  const views = (await Promise.all(ids.map((id) => orders.peek(id)))) as OrderView[];
  expect(asked).toBeLessThanOrEqual(2);
  for (const [n, view] of views.entries()) {
    expect(view).toMatchObject({ id: ids[n], buyer: buyers[n], state: 'paid' });
    expect(view.payment).toEqual({ provider: 'wallet', state: 'captured' });
    expect(view.paidAt).toBeGreaterThanOrEqual(view.reservedAt as number);
  }
});

test('a declined order tells why, and one that nobody placed is not found', async () => {
  const drop = await stage.publish();
  const [id] = await stage.reserve(drop, ['broke'], { fund: 0 });
  await stage.reaches(id, 'released');
  const payment = { provider: 'wallet', state: 'declined', reason: 'insufficient_funds' };
  expect(await stage.desk.orders.read(id)).toMatchObject({ state: 'released', payment });
  const nobodys = anOrderId(`${id.slice(0, -22)}${'A'.repeat(22)}`);
  expect(await stage.desk.orders.read(nobodys)).toBeUndefined();
});
