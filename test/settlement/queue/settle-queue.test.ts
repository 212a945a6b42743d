import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../../src/domain/clock.ts';
import type { PaymentReference } from '../../../src/domain/ids.ts';
import { openDropTerms } from '../../../src/drops/drop-terms.ts';
import { connectQueue } from '../../../src/inventory/redis-connections.ts';
import {
  jobOrdersMax,
  openSettleQueue,
  readJob,
} from '../../../src/settlement/queue/settle-queue.ts';
import { openSettleWorker } from '../../../src/settlement/queue/settle-worker.ts';
import { openRedrive } from '../../../src/settlement/recovery/redrive.ts';
import { anItem } from '../../support/drops.ts';
import { eventually } from '../../support/eventually.ts';
import { anOrderId } from '../../support/ids.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { openStage, type Stage } from '../stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

const log = { info() {}, warn() {}, error() {} } as never;
let namespaces = 0;

/** A queue of its own and a way to work on it. */
function aQueue() {
  namespaces += 1;
  const namespace = `${stage.namespace}q${namespaces}`;
  const redis = connectQueue(stage.redisUrl);
  const queue = openSettleQueue({ redis, namespace });
  return {
    queue,
    work(settle: Parameters<typeof openSettleWorker>[0]['settle']) {
      const worker = openSettleWorker({
        redis,
        namespace,
        settle,
        log,
        addApart: queue.addApart,
      });
      worker.start();
      return worker;
    },
    async close() {
      await queue.close();
      redis.disconnect();
    },
  };
}

const ids = (count: number) =>
  Array.from({ length: count }, (_, n) =>
    anOrderId(`ord_abcdefghjkmn_0_${String(n).padStart(22, 'A')}`),
  );

test('Orders share jobs, and orders added again while their job waits are queued once', async () => {
  const { queue, close } = aQueue();
  const orders = ids(2 * jobOrdersMax + 1);
  for (let times = 0; times < 3; times += 1) await queue.add(orders);
  expect(await queue.counts()).toMatchObject({ waiting: 3 });
  await close();
});

test('An order that does not end is retried alone, and the other orders of its job are not', async () => {
  const { queue, work, close } = aQueue();
  const orders = ids(jobOrdersMax);
  const [slow = '', lost = ''] = orders;
  const tries = new Map<string, number>();
  const worker = work(async (batch) =>
    batch.map((id) => {
      const times = (tries.get(id) ?? 0) + 1;
      tries.set(id, times);
      if (id === lost) return { kind: 'lost' };
      return id === slow && times < 3 ? { kind: 'later', why: 'not yet' } : { kind: 'paid' };
    }),
  );
  await queue.add(orders);
  await eventually(async () => {
    const { waiting, active, delayed, failed } = await queue.counts();
    return waiting + active + delayed === 0 && failed === 1 && tries.get(slow) === 3;
  });
  expect(tries.get(lost)).toBe(2);
  for (const id of orders.slice(2)) expect(tries.get(id)).toBe(1);
  expect(worker.counts()).toMatchObject({ paid: jobOrdersMax - 1, poison: 1 });
  await worker.stop();
  await close();
});

test('A job none of whose orders can be settled now is retried as a whole', async () => {
  const { queue, work, close } = aQueue();
  let away = 2;
  const settled = new Set<string>();
  const worker = work(async (batch) => {
    away -= 1;
    if (away >= 0) throw new Error('the ledger is away');
    for (const id of batch) settled.add(id);
    return batch.map(() => ({ kind: 'paid' }));
  });
  await queue.add(ids(5));
  await eventually(() => settled.size === 5);
  await eventually(async () => (await queue.counts()).active === 0);
  expect(await queue.counts()).toMatchObject({ waiting: 0, delayed: 0, failed: 0 });
  await worker.stop();
  await close();
});

test('Orders whose job waits in a long queue are not queued again, and orders whose job is lost are', async () => {
  const { queue, work, close } = aQueue();
  const { lanes, ledger } = stage;
  const drop = await stage.publish({ items: [anItem({ allotment: 100 })] });
  const orders = await stage.reserve(drop, ['ann', 'bob', 'eve']);
  for (const id of orders) {
    await ledger.orders.upsert([{ order: await stage.inLane(id), at: Date.now() }]);
  }
  const nothing = async () => new Set<PaymentReference>();
  const redrive = openRedrive({
    lanes,
    drops: ledger.drops,
    orders: ledger.orders,
    payments: ledger.payments,
    allowances: ledger.allowances,
    queue,
    recordChanges: { retryParked: async () => 0 },
    log,
    settle: async () => [],
    refunds: { giveBack: nothing, returnAsked: async () => {}, check: nothing },
    providers: new Map([[stage.wallet.name, stage.wallet]]),
    termsOf: openDropTerms({ lanes, drops: ledger.drops }),
    publishing: stage.desk.publishing,
    activeDrops: { drops: () => [] } as never,
    // Long after: whatever the ledger knows has been waiting for an hour.
    redisNow: async () => Date.now() + 3_600_000,
    clock: systemClock,
  });
  await queue.add(orders);
  await redrive.runOnce();
  expect(redrive.counts().requeued).toBe(0);
  // A worker that takes the job and does nothing with its orders: the queue has lost them.
  const worker = work(async (batch) => batch.map(() => ({ kind: 'lapsed' })));
  await eventually(async () => (await queue.waitingSince()) === undefined);
  await worker.stop();
  for (let runs = 1; runs <= 2; runs += 1) await redrive.runOnce();
  // However often they are asked for: one job each, which waits for its time.
  expect(redrive.counts().requeued).toBe(6);
  expect(await queue.counts()).toMatchObject({ waiting: 0, delayed: 3 });
  await close();
});

test('An order whose job failed for good is queued again when the redrive adds it', async () => {
  const { queue, work, close } = aQueue();
  const [order] = ids(1);
  if (!order) throw new Error('no id');
  let isLost = true;
  const worker = work(async (batch) => batch.map(() => ({ kind: isLost ? 'lost' : 'paid' })));
  await queue.add([order]);
  await eventually(async () => (await queue.counts()).failed === 1);
  isLost = false;
  await queue.addApart([order]);
  await eventually(() => worker.counts().paid === 1);
  expect(await queue.counts()).toMatchObject({ failed: 0, delayed: 0 });
  await worker.stop();
  await close();
});

test('An order that cannot be settled keeps no other of its batch from being settled', async () => {
  const drop = await stage.publish();
  const orders = await stage.reserve(drop, ['sound', 'broken', 'also sound']);
  const [, broken] = orders;
  const { payments } = stage.ledger;
  const desk = stage.settlement({
    ledger: {
      ...stage.ledger,
      payments: {
        ...payments,
        async ofOrders(wanted) {
          if (wanted.some((id) => id === broken)) throw new Error('this one fails');
          return await payments.ofOrders(wanted);
        },
      },
    },
    provider: {},
  });
  const settled = await desk.settle(orders);
  expect(settled.map(({ kind }) => kind)).toEqual(['paid', 'later', 'paid']);
  await expect(desk.settle([broken])).rejects.toThrow('this one fails');
});

test('A record that cannot be read counts as missing and keeps no other order from being settled', async () => {
  const drop = await stage.publish();
  const [sound, broken] = await stage.reserve(drop, ['readable', 'unreadable']);
  const place = { drop: drop.id, lane: 0 };
  await stage.redis.hset(stage.key(place, 'orders'), broken.slice(-22), 'no record');
  const settled = await stage.desk.settle([sound, broken]);
  expect(settled.map(({ kind }) => kind)).toEqual(['paid', 'lost']);
});

test('A provider that answers about a payment nobody asked about does not cost the others their answers', async () => {
  const drop = await stage.publish();
  const [one, other] = await stage.reserve(drop, ['asked', 'asked too'], { fund: 0 });
  const desk = stage.settlement({
    provider: {
      start: async (charges) => [
        {
          reference: charges[0]?.reference.replace(/.$/, 'x') as PaymentReference,
          kind: 'declined',
          reason: 'declined',
        },
        ...charges.map(({ reference, amount }) => {
          return { reference, kind: 'captured' as const, amount };
        }),
      ],
    },
  });
  const settled = await desk.settle([one, other]);
  expect(settled.map(({ kind }) => kind)).toEqual(['paid', 'paid']);
  expect(stage.logged.map(({ msg }) => msg)).toContain(
    'a payment provider answered about a payment that it was not asked about',
  );
});

test('A payload with no orders or too many is refused for good', () => {
  const [one = ''] = ids(1);
  expect(readJob({ orders: [one] })).toEqual([one]);
  for (const data of [null, {}, { orders: [] }, { orders: 'x' }, { orders: [one, 'x'] }]) {
    expect(() => readJob(data)).toThrow('names no orders');
  }
  expect(() => readJob({ orders: ids(jobOrdersMax + 1) })).toThrow('names no orders');
});
