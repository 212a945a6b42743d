import { hostname } from 'node:os';
import { Queue } from 'bullmq';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectQueue } from '../../../src/inventory/redis-connections.ts';
import { openOrders } from '../../../src/ledger/orders.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl, startRedis } from '../../support/redis.ts';
import { openStage, type Stage } from '../stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

let names = 0;
const aBuyer = () => `buyer-${++names}`;
const buyers = (count: number) => Array.from({ length: count }, aBuyer);

test('An order goes from reserved to paid in lane, ledger and wallet, and leaves its outbox empty', async () => {
  const drop = await stage.publish();
  const settlement = stage.settlement();
  await settlement.start();
  const [buyer = ''] = buyers(1);
  const [id] = await stage.reserve(drop, [buyer]);
  const order = await stage.reaches(id, 'paid');
  expect(order.paidAt).toBeGreaterThanOrEqual(order.reservedAt);
  await eventually(async () => (await settlement.background().relay.backlog()) === 0);
  expect(await settlement.background().queue.counts()).toMatchObject({ waiting: 0, failed: 0 });
  expect(await stage.money(buyer)).toMatchObject({ captures: 1, refunds: 0 });
  expect(await stage.desk.orders.read(id)).toMatchObject({
    id,
    state: 'paid',
    sku: 'phone',
    currency: 'CNY',
    paidAt: order.paidAt,
    payment: { provider: 'wallet', state: 'captured' },
  });
  await settlement.stop();
});

test('Entries that a dead relay had read are claimed by another', async () => {
  const drop = await stage.publish();
  const outbox = stage.key({ drop: drop.id, lane: 0 }, 'outbox');
  const ids = await stage.reserve(drop, buyers(3));
  await stage.redis.xgroup('CREATE', outbox, 'relay', '0');
  await stage.redis.xreadgroup('GROUP', 'relay', 'dead', 'COUNT', 10, 'STREAMS', outbox, '>');
  const settlement = stage.settlement();
  await settlement.start();
  for (const id of ids) await stage.reaches(id, 'paid');
  expect(settlement.background().relay.counts().claimed).toBeGreaterThanOrEqual(3);
  await settlement.stop();
});

test('Entries that a relay had deleted when it died, and not acknowledged, are acknowledged by the next', async () => {
  const drop = await stage.publish();
  const outbox = stage.key({ drop: drop.id, lane: 0 }, 'outbox');
  await stage.redis.xgroup('CREATE', outbox, 'relay', '0', 'MKSTREAM');
  for (const consumer of [hostname(), 'dead']) {
    const id = (await stage.redis.xadd(outbox, '*', 'at', Date.now())) ?? '';
    await stage.redis.xreadgroup('GROUP', 'relay', consumer, 'STREAMS', outbox, '>');
    await stage.redis.xdel(outbox, id);
  }
  const pending = async () => (await stage.redis.xpending(outbox, 'relay'))[0];
  expect(await pending()).toBe(2);
  const settlement = stage.settlement();
  await settlement.start();
  await eventually(async () => (await pending()) === 0);
  const [id] = await stage.reserve(drop, [aBuyer()]);
  await stage.reaches(id, 'paid');
  await settlement.stop();
});

test('While the ledger is down no entry is acknowledged, and afterwards every order settles', async () => {
  const { ledger } = stage;
  let down = false;
  const refuse = <T>(ask: () => Promise<T>) =>
    down ? Promise.reject(new Error('the ledger is down')) : ask();
  const database: typeof ledger.database = {
    ...ledger.database,
    query: (sql, params) => refuse(() => ledger.database.query(sql, params)),
    transaction: (work) => refuse(() => ledger.database.transaction(work)),
  };
  const drop = await stage.publish();
  const settlement = stage.settlement({ ledger: { ...ledger, orders: openOrders(database) } });
  await settlement.start();
  const [before] = await stage.reserve(drop, [aBuyer()]);
  await stage.reaches(before, 'paid');
  const { relay } = settlement.background();
  await eventually(async () => (await relay.backlog()) === 0);
  down = true;
  const ids = await stage.reserve(drop, buyers(5));
  await eventually(() => relay.counts().retries > 1);
  expect(await relay.backlog()).toBe(5);
  expect(await ledger.orders.receipts(ids)).toEqual(ids.map(() => undefined));
  down = false;
  for (const id of ids) await stage.reaches(id, 'paid');
  await eventually(async () => (await relay.backlog()) === 0);
  await settlement.stop();
});

test('A relay whose consumer group is gone creates it again and loses no entry', async () => {
  const drop = await stage.publish();
  const outbox = stage.key({ drop: drop.id, lane: 0 }, 'outbox');
  const settlement = stage.settlement();
  await settlement.start();
  const [first] = await stage.reserve(drop, [aBuyer()]);
  await stage.reaches(first, 'paid');
  await stage.redis.xgroup('DESTROY', outbox, 'relay');
  const [second] = await stage.reserve(drop, [aBuyer()]);
  await stage.reaches(second, 'paid');
  await settlement.stop();
});

test('Two relays and two workers side by side settle each order once', async () => {
  const drop = await stage.publish({
    lanes: 2,
    items: [{ sku: 'a', title: 'a', unitAmount: 100, allotment: 400, perBuyer: 1 }],
  });
  const settlements = [stage.settlement(), stage.settlement()];
  for (const settlement of settlements) await settlement.start();
  const all = buyers(60);
  const ids = await stage.reserve(drop, all);
  for (const id of ids) await stage.reaches(id, 'paid');
  for (const buyer of all) {
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 0, kept: 100 });
  }
  for (const settlement of settlements) await settlement.stop();
});

test('An entry that cannot be read is parked in the ledger and does not hold up the others', async () => {
  const drop = await stage.publish();
  const outbox = stage.key({ drop: drop.id, lane: 0 }, 'outbox');
  const strange = await stage.redis.xadd(outbox, '*', 'at', Date.now(), 'digest', 'no record');
  const settlement = stage.settlement();
  await settlement.start();
  const [id] = await stage.reserve(drop, [aBuyer()]);
  await stage.reaches(id, 'paid');
  await eventually(async () => (await stage.redis.xlen(outbox)) === 0);
  const [parked] = await stage.ledger.database.query('select entry, change from parked_changes');
  expect(parked).toEqual({ entry: strange, change: '["digest","no record"]' });
  expect(settlement.background().relay.counts().malformed).toBeGreaterThan(0);
  await settlement.stop();
});

test('A job with an unknown payload fails for good and does not hold up the queue', async () => {
  const connection = connectQueue(stage.redisUrl);
  const queue = new Queue('settle', { connection, prefix: `{${stage.namespace}}` });
  await queue.add('settle', { orders: ['ord_of_nobody'] }, { jobId: 'poison', attempts: 5 });
  await queue.add('settle', 'not even an object', { jobId: 'poison2', attempts: 5 });
  const drop = await stage.publish();
  const settlement = stage.settlement();
  await settlement.start();
  const [id] = await stage.reserve(drop, [aBuyer()]);
  await stage.reaches(id, 'paid');
  await eventually(async () => (await queue.getFailedCount()) === 2);
  const job = await queue.getJob('poison');
  expect([job?.failedReason, job?.attemptsMade]).toEqual(['the payload names no orders', 1]);
  await settlement.stop();
  await queue.obliterate({ force: true });
  await queue.close();
  connection.disconnect();
});

test('A lane behind what the ledger has read of it stops selling and cannot be resumed', async () => {
  const drop = await stage.publish();
  const last = `${Date.now() + 60_000}-0`;
  await stage.ledger.orders.upsert([], { positions: [{ drop: drop.id, lane: 0, last }] });
  const settlement = stage.settlement();
  await settlement.start();
  await eventually(async () => (await stage.ledger.drops.get(drop.id))?.decision === 'paused');
  await eventually(
    async () => (await stage.figures({ drop: drop.id, lane: 0 })).phase === 'paused',
  );
  const { merchantId } = drop;
  const resumed = await stage.desk.publishing.act({ merchantId, drop: drop.id, action: 'resume' });
  expect(resumed).toEqual({ kind: 'frozen' });
  await settlement.stop();
});

test('A stop leaves nothing half done, and the next start continues', async () => {
  const drop = await stage.publish({
    items: [{ sku: 'a', title: 'a', unitAmount: 100, allotment: 400, perBuyer: 1 }],
  });
  const ids = await stage.reserve(drop, buyers(40));
  for (let round = 0; round < 3; round += 1) {
    const settlement = stage.settlement();
    await settlement.start();
    await settlement.stop();
  }
  const settlement = stage.settlement();
  await settlement.start();
  for (const id of ids) await stage.reaches(id, 'paid');
  await settlement.stop();
});

test('A relay that starts while Redis has no memory empties the outbox, and every order settles', async () => {
  const server = await startRedis();
  const full = await openStage({ redisUrl: server.url });
  try {
    const drop = await full.publish();
    const ids = await full.reserve(drop, buyers(3));
    await full.redis.config('SET', 'maxmemory', '1');
    const settlement = full.settlement();
    await settlement.start();
    const { relay, redrive } = settlement.background();
    await eventually(() => relay.counts().unqueued === 3);
    for (const id of ids) await full.reaches(id, 'paid');
    await eventually(async () => (await relay.backlog()) === 0);
    expect(redrive.counts().unqueued).toBeGreaterThanOrEqual(3);
    await full.redis.config('SET', 'maxmemory', '0');
    const [later] = await full.reserve(drop, [aBuyer()]);
    await full.reaches(later, 'paid');
    await settlement.stop();
  } finally {
    await full.close();
    await server.remove();
  }
});
