import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { type OrderId, parseOrderId } from '../../../src/domain/ids.ts';
import { required } from '../../../src/domain/required.ts';
import { redisTime } from '../../../src/inventory/redis-connections.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { aCashier } from '../cashier.ts';
import { gate, openStage, type Stage } from '../stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

let names = 0;
const lane = (drop: Drop) => ({ drop: drop.id, lane: 0 });
const sweep = (drop: Drop) => stage.lanes.sweep(lane(drop), 100);
const wish = { method: 'wallet', wish: { scene: 'page' } };

/** A sale in which one buyer has begun to pay elsewhere. */
async function aBegunPayment(
  overrides: Partial<Drop> & Pick<Drop, 'holdMs'>,
  settlement: Omit<NonNullable<Parameters<Stage['settlement']>[0]>, 'provider'> = {},
) {
  const cashier = aCashier();
  const desk = stage.settlement({ ...settlement, provider: cashier.provider });
  const drop = await stage.publish(overrides);
  const [id] = await stage.reserve(drop, [`deferred-${++names}`], { fund: 0 });
  const { expiresAt } = await stage.inLane(id);
  const begun = await desk.pay(id, wish);
  if (begun.kind !== 'begun') throw new Error(`not begun: ${begun.kind}`);
  const { reference } = begun.payment;
  const untilOver = () => eventually(async () => (await redisTime(stage.redis)) > expiresAt);
  return { ...cashier, desk, drop, id, reference, expiresAt, untilOver };
}

test('A payment that is closed late is closed before its units are on sale again', async () => {
  const { drop, id, desk, book, reference, untilOver } = await aBegunPayment({ holdMs: 300 });
  await untilOver();
  expect((await sweep(drop)).released).toBe(0);
  expect(await stage.inLane(id)).toMatchObject({ state: 'reserved' });
  expect(await desk.settle([id])).toEqual([{ kind: 'released' }]);
  expect(book.get(reference)).toMatchObject({ kind: 'declined', reason: 'closed' });
  expect(await stage.inLane(id)).toMatchObject({ state: 'released', reason: 'expired' });
});

test('A payment whose closing takes longer than its hold keeps the units until it is closed', async () => {
  const { provider } = aCashier();
  const closing = gate();
  const states: string[] = [];
  let orderId: OrderId | undefined;
  const desk = stage.settlement({
    provider: {
      ...provider,
      async close(payments) {
        await closing.wait();
        states.push((await stage.inLane(required(orderId, 'order'))).state);
        return await provider.close(payments);
      },
    },
  });
  await desk.start();
  const drop = await stage.publish({ holdMs: 1_000 });
  const [id] = await stage.reserve(drop, [`deferred-${++names}`], { fund: 0 });
  orderId = id;
  const { expiresAt } = await stage.inLane(id);
  expect(await desk.pay(id, wish)).toMatchObject({ kind: 'begun' });
  await closing.reached;
  // The sweeper of holds has looked at the lane after the end of the hold by then.
  await eventually(async () => (await redisTime(stage.redis)) > expiresAt + 1_500);
  closing.open();
  await stage.reaches(id, 'released');
  expect(states).toContain('reserved');
  expect(states[0]).toBe('reserved');
  await desk.stop();
});

test('A capture between the end of a hold and the closing of its payment pays for the order', async () => {
  const { drop, id, desk, pay, given, reference, untilOver } = await aBegunPayment({
    holdMs: 300,
    lateCapture: 'refund',
  });
  await untilOver();
  await sweep(drop);
  pay(reference);
  expect(await desk.settle([id])).toEqual([{ kind: 'paid' }]);
  expect(given).toEqual([]);
});

test('A hold whose payment was closed in time ends at its end, not later', async () => {
  const { drop, id, desk, book, reference, expiresAt } = await aBegunPayment({ holdMs: 60_000 });
  expect(await stage.lanes.inspect(lane(drop))).toMatchObject({ dueAt: expiresAt + 60_000 });
  book.set(reference, { reference, kind: 'declined', reason: 'closed' });
  expect(await desk.settle([id])).toEqual([{ kind: 'waiting' }]);
  expect(await stage.lanes.inspect(lane(drop))).toMatchObject({ dueAt: expiresAt });
});

test('A second payment keeps its hold when the end of the first becomes known later', async () => {
  const sale = await aBegunPayment({ holdMs: 60_000 });
  const { drop, id, desk, book, reference, expiresAt, provider } = sale;
  const slow = gate();
  const { settle } = stage.settlement({
    provider,
    onStep: (step) => (step === 'recorded' ? slow.wait() : undefined),
  });
  book.set(reference, { reference, kind: 'declined', reason: 'closed' });
  const first = settle([id]);
  await slow.reached;
  expect(await desk.pay(id, wish)).toMatchObject({ kind: 'begun' });
  slow.open();
  await first;
  expect(await stage.lanes.inspect(lane(drop))).toMatchObject({ dueAt: expiresAt + 60_000 });
});

test('A hold whose payment cannot be closed is released when its grace is over', async () => {
  const { drop, id, expiresAt } = await aBegunPayment({ holdMs: 200 }, { closingGraceMs: 300 });
  await eventually(async () => (await sweep(drop)).released === 1);
  expect(await redisTime(stage.redis)).toBeGreaterThanOrEqual(expiresAt + 300);
  expect(await stage.inLane(id)).toMatchObject({ state: 'released', reason: 'expired' });
});

test('A cancelled drop releases a hold at once though its payment is open', async () => {
  const { drop, id, desk } = await aBegunPayment({ holdMs: 60_000 });
  const { merchantId } = drop;
  await desk.publishing.act({ merchantId, drop: drop.id, action: 'cancel' });
  expect((await sweep(drop)).released).toBe(1);
  expect(await stage.inLane(id)).toMatchObject({ state: 'released', reason: 'drop_cancelled' });
});

test('A payment is not begun at its provider once the units of its order are on sale again', async () => {
  const cashier = aCashier();
  const { payments } = stage.ledger;
  let started = 0;
  const desk = stage.settlement({
    provider: {
      ...cashier.provider,
      async start(charges) {
        started += charges.length;
        return await cashier.provider.start(charges);
      },
    },
    ledger: {
      ...stage.ledger,
      payments: {
        ...payments,
        // The units go back while the payment is on its way into the ledger.
        async begin(starts) {
          const begun = await payments.begin(starts);
          for (const { orderId } of begun) {
            const place = required(parseOrderId(orderId), 'place of the order');
            await stage.lanes.release(place, [{ digest: place.digest, reason: 'cancelled' }]);
          }
          return begun;
        },
      },
    },
  });
  const drop = await stage.publish();
  const [id] = await stage.reserve(drop, [`deferred-${++names}`], { fund: 0 });
  expect(await desk.pay(id, wish)).toEqual({ kind: 'over', state: 'released' });
  expect(started).toBe(0);
  const [payment] = await payments.ofOrders([id]);
  expect(payment).toMatchObject({ state: 'declined', reason: 'closed' });
});

/** When the hold of an order is due for the sweep, ms. */
async function dueAt(drop: Drop, id: OrderId): Promise<number> {
  const { digest } = required(parseOrderId(id), 'place of the order');
  return Number(await stage.redis.zscore(stage.key(lane(drop), 'holds'), digest));
}

test('A hold goes back to its end when its payment was closed elsewhere and none took its place', async () => {
  const { drop, id, desk, expiresAt, reference } = await aBegunPayment({ holdMs: 60_000 });
  expect(await dueAt(drop, id)).toBeGreaterThan(expiresAt);
  await stage.ledger.payments.record([{ reference, state: 'declined', reason: 'closed' }]);
  expect(await desk.settle([id])).toEqual([{ kind: 'waiting' }]);
  expect(await dueAt(drop, id)).toBe(expiresAt);
});

test('A hold goes back to its end when its payment was closed for another that could not be opened', async () => {
  const { payments } = stage.ledger;
  const { provider, drop, id, expiresAt } = await aBegunPayment({ holdMs: 60_000 });
  const desk = stage.settlement({
    provider: { ...provider, scenes: ['page', 'wap'] },
    ledger: {
      ...stage.ledger,
      payments: {
        ...payments,
        // Another request closes the new payment before this one begins it at the provider.
        async begin(starts) {
          const begun = await payments.begin(starts);
          const closed = { state: 'declined', reason: 'closed' } as const;
          await payments.record(begun.map(({ reference }) => ({ reference, ...closed })));
          return begun.map((payment) => ({ ...payment, ...closed }));
        },
      },
    },
  });
  expect(await desk.pay(id, { method: 'wallet', wish: { scene: 'wap' } })).toEqual({
    kind: 'unknown',
  });
  expect(await dueAt(drop, id)).toBe(expiresAt);
});

test('A hold keeps its grace, and settling its result, when the ledger fails while the hold is put back', async () => {
  const { payments } = stage.ledger;
  let failures = 0;
  let begun: { drop: Drop; id: OrderId; expiresAt: number } | undefined;
  const { drop, id, desk, expiresAt, reference } = await aBegunPayment(
    { holdMs: 60_000 },
    {
      ledger: {
        ...stage.ledger,
        payments: {
          ...payments,
          async ofOrders(ids) {
            // The hold was put back to its end, and the read that follows fails.
            if (begun && (await dueAt(begun.drop, begun.id)) === begun.expiresAt) {
              failures += 1;
              throw new Error('the ledger is away');
            }
            return await payments.ofOrders(ids);
          },
        },
      },
    },
  );
  begun = { drop, id, expiresAt };
  await payments.record([{ reference, state: 'declined', reason: 'closed' }]);
  expect(await desk.settle([id])).toEqual([{ kind: 'waiting' }]);
  expect(failures).toBe(1);
  expect(await dueAt(drop, id)).toBeGreaterThan(expiresAt);
});
