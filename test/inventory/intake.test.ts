import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Drop } from '../../src/domain/drop.ts';
import { newId, orderId, orderRef } from '../../src/domain/ids.ts';
import type { Bought, Buy } from '../../src/inventory/buy.ts';
import { type Catalog, openCatalog } from '../../src/inventory/catalog.ts';
import { openSweeper } from '../../src/inventory/hold-sweeper.ts';
import { type Intake, type IntakeLimits, openIntake } from '../../src/inventory/intake.ts';
import { type Lanes, openLanes } from '../../src/inventory/lanes.ts';
import { connectHot } from '../../src/inventory/redis-connections.ts';
import { aDrop, anItem } from '../support/drops.ts';
import { eventually } from '../support/eventually.ts';
import { startProxy } from '../support/proxy.ts';
import { sharedRedisUrl, startRedis, type TestRedis } from '../support/redis.ts';

type Bench = {
  redis: Redis;
  lanes: Lanes;
  catalog: Catalog;
  intake: Intake;
  /** Sizes of the reserve calls made, in order. */
  calls: number[];
};

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  while (closers.length > 0) await closers.pop()?.();
});

async function open(
  options: { url?: string; limits?: IntakeLimits; timeoutMs?: number } = {},
): Promise<Bench> {
  const redis = connectHot(options.url ?? sharedRedisUrl(), {
    timeoutMs: options.timeoutMs ?? 2_000,
  });
  redis.on('error', () => {});
  closers.push(() => redis.disconnect());
  await eventually(() => redis.status === 'ready');
  const real = openLanes(redis, newId('test'));
  const calls: number[] = [];
  const lanes: Lanes = {
    ...real,
    reserve(ref, reservations) {
      calls.push(reservations.length);
      return real.reserve(ref, reservations);
    },
  };
  const catalog = openCatalog({ lanes });
  catalog.start();
  closers.push(() => catalog.stop());
  const intake = openIntake({
    lanes,
    catalog,
    ...(options.limits ? { limits: options.limits } : {}),
  });
  return { redis, lanes, catalog, intake, calls };
}

function aBuy(drop: Drop, overrides: Partial<Buy> = {}): Buy {
  return {
    drop: drop.id,
    buyer: 'ann',
    key: 'key-1',
    sku: 'phone',
    quantity: 1,
    method: 'wallet',
    ...overrides,
  };
}

function crowd(drop: Drop, size: number): Buy[] {
  return Array.from({ length: size }, (_, n) => aBuy(drop, { buyer: `buyer-${n}` }));
}

function tally(answers: Bought[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

function orderOf(answer: Bought): string {
  if (answer.status !== 'reserved' && answer.status !== 'replayed') {
    throw new Error(`no order: ${JSON.stringify(answer)}`);
  }
  return answer.order.id;
}

describe('on one Redis', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await open();
  });

  test('Buys that arrive during a call leave together in the next one, and no more units are sold than there are', async () => {
    const drop = aDrop({ items: [anItem({ allotment: 100 })] });
    await bench.lanes.publish(drop, 0, true);
    const answers = await Promise.all(crowd(drop, 300).map(bench.intake.buy));
    expect(tally(answers)).toEqual({ reserved: 100, all_held: 200 });
    expect(bench.calls.reduce((sum, size) => sum + size)).toBe(300);
    expect(bench.calls.length).toBeLessThan(10);
    const inspected = await bench.lanes.inspect({ drop: drop.id, lane: 0 });
    expect(inspected).toMatchObject({
      items: [{ available: 0, held: 100, sold: 0, allotment: 100 }],
    });
  });

  test('At low load a batch holds one Buy', async () => {
    const drop = aDrop();
    await bench.lanes.publish(drop, 0, true);
    for (const buy of crowd(drop, 5)) await bench.intake.buy(buy);
    expect(bench.calls).toEqual([1, 1, 1, 1, 1]);
  });

  test('The same key sent a hundred times at once gives one order', async () => {
    const drop = aDrop();
    await bench.lanes.publish(drop, 0, true);
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => bench.intake.buy(aBuy(drop))),
    );
    expect(tally(answers)).toEqual({ reserved: 1, replayed: 99 });
    expect(new Set(answers.map(orderOf)).size).toBe(1);
  });

  test('Two buyers who use the same key get an order each', async () => {
    const drop = aDrop();
    await bench.lanes.publish(drop, 0, true);
    const mine = await bench.intake.buy(aBuy(drop, { buyer: 'ann' }));
    const theirs = await bench.intake.buy(aBuy(drop, { buyer: 'bob' }));
    expect([mine.status, theirs.status]).toEqual(['reserved', 'reserved']);
    expect(orderOf(mine)).not.toBe(orderOf(theirs));
  });

  test('While all units are held, Buys are refused without a reserve call, and a key that has an order still gets it', async () => {
    const drop = aDrop({ items: [anItem({ allotment: 1 })] });
    await bench.lanes.publish(drop, 0, true);
    const first = await bench.intake.buy(aBuy(drop));
    await eventually(() => bench.catalog.peek(drop.id)?.items[0]?.available === 0);
    bench.calls.length = 0;
    const refused = await bench.intake.buy(aBuy(drop, { buyer: 'bob' }));
    const again = await bench.intake.buy(aBuy(drop));
    const other = await bench.intake.buy(aBuy(drop, { quantity: 2 }));
    expect(bench.calls).toEqual([]);
    expect(refused).toMatchObject({ status: 'all_held', available: 0 });
    expect(again).toMatchObject({ status: 'replayed' });
    expect(orderOf(again)).toBe(orderOf(first));
    expect(other.status).toBe('reused');
  });

  test('The answers sold_out and all_held are told apart', async () => {
    const drop = aDrop({ items: [anItem({ allotment: 1 })] });
    await bench.lanes.publish(drop, 0, true);
    await bench.intake.buy(aBuy(drop));
    const { digest } = orderRef(drop.id, 'ann', 'key-1', 1);
    await bench.lanes.confirm({ drop: drop.id, lane: 0 }, [digest]);
    const told = async () => (await bench.intake.buy(aBuy(drop, { buyer: 'bob' }))).status;
    expect(await eventually(async () => (await told()) === 'sold_out')).toBe(true);
    await bench.lanes.refund({ drop: drop.id, lane: 0 }, [digest]);
    expect(await eventually(async () => (await told()) === 'reserved')).toBe(true);
  });

  test('A Buy refused for a limit that an edit has just set is told the limit, also by a process that has the drop from before', async () => {
    const rules = { unpaidHoldMs: 60_000, items: [anItem({ perBuyer: 5 })] };
    const drop = aDrop(rules);
    await bench.lanes.publish(drop, 0, true);
    await bench.intake.buy(aBuy(drop));
    await bench.catalog.stop();
    await bench.lanes.publish({ ...drop, version: 2, perBuyer: 1 }, 0, false);
    const limited = await bench.intake.buy(aBuy(drop, { key: 'key-2' }));
    expect(limited).toMatchObject({ status: 'buyer_limit', scope: 'drop', limit: 1 });
    const { digest } = orderRef(drop.id, 'ann', 'key-1', 1);
    const ref = { drop: drop.id, lane: 0 };
    await bench.lanes.release(ref, [{ digest, reason: 'cancelled' }]);
    await bench.lanes.publish({ ...drop, version: 3, lapsesMax: 1 }, 0, false);
    const lapsed = await bench.intake.buy(aBuy(drop, { key: 'key-2' }));
    expect(lapsed).toMatchObject({ status: 'lapse_limit', lapses: 1, limit: 1 });
  });

  test('A hold that expires lifts the refusal', async () => {
    const drop = aDrop({ holdMs: 60, items: [anItem({ allotment: 1 })] });
    await bench.lanes.publish(drop, 0, true);
    const sweeper = openSweeper({ lanes: bench.lanes, active: () => [{ drop: drop.id, lane: 0 }] });
    await bench.intake.buy(aBuy(drop));
    expect((await bench.intake.buy(aBuy(drop, { buyer: 'bob' }))).status).toBe('all_held');
    sweeper.start();
    closers.push(sweeper.stop);
    await eventually(async () => {
      const bought = await bench.intake.buy(aBuy(drop, { buyer: 'bob' }));
      return bought.status === 'reserved';
    });
  });

  test('Before the opening a Buy is refused without a call, with the time of the opening', async () => {
    const startsAt = Date.now() + 60_000;
    const drop = aDrop({ startsAt });
    await bench.lanes.publish(drop, 0, true);
    const told = await bench.intake.buy(aBuy(drop));
    expect(told).toMatchObject({ status: 'not_open', startsAt });
    expect(bench.calls).toEqual([]);
    expect(bench.catalog.peek(drop.id)?.state()).toBe('scheduled');
  });

  test('A pause, a resume and an end of a drop take effect on its Buys', async () => {
    const drop = aDrop();
    await bench.lanes.publish(drop, 0, true);
    const first = await bench.intake.buy(aBuy(drop));
    const told = async (buyer: string) => (await bench.intake.buy(aBuy(drop, { buyer }))).status;
    await bench.lanes.publish({ ...drop, version: 2, decision: 'paused' }, 0, false);
    expect(await told('bob')).toBe('paused');
    await eventually(() => bench.catalog.peek(drop.id)?.drop.version === 2);
    bench.calls.length = 0;
    expect(await told('bob')).toBe('paused');
    expect(bench.calls).toEqual([]);
    await bench.lanes.publish({ ...drop, version: 3, decision: 'live' }, 0, false);
    await eventually(async () => (await told('bob')) === 'reserved');
    await bench.lanes.publish({ ...drop, version: 4, decision: 'ended' }, 0, false);
    await eventually(async () => (await told('cat')) === 'ended');
    const again = await bench.intake.buy(aBuy(drop));
    expect(again.status).toBe('replayed');
    expect(orderOf(again)).toBe(orderOf(first));
  });

  test('An unknown drop and an unknown item get different answers', async () => {
    const drop = aDrop();
    expect((await bench.intake.buy(aBuy(drop))).status).toBe('unknown_drop');
    await bench.lanes.publish(drop, 0, true);
    await eventually(async () => {
      const bought = await bench.intake.buy(aBuy(drop, { sku: 'other' }));
      return bought.status === 'unknown_item';
    });
  });
});

test('A drop whose lane has lost its data is frozen, and a drop that never existed is unknown', async () => {
  const bench = await open();
  const catalog = openCatalog({ lanes: bench.lanes, published: async () => new Set([drop.id]) });
  const intake = openIntake({ lanes: bench.lanes, catalog });
  const drop = aDrop();
  expect((await intake.buy(aBuy(drop))).status).toBe('frozen');
  expect((await intake.buy(aBuy(aDrop()))).status).toBe('unknown_drop');
});

test('A Buy beyond the bound of the queue is refused, and nothing is reserved for it', async () => {
  const bench = await open({ limits: { batchMax: 4, inFlightMax: 1, queueMax: 8 } });
  const drop = aDrop({ items: [anItem({ allotment: 1_000 })] });
  await bench.lanes.publish(drop, 0, true);
  await bench.catalog.get(drop.id);
  const answers = await Promise.all(crowd(drop, 100).map(bench.intake.buy));
  const counts = tally(answers);
  expect(counts['overloaded']).toBeGreaterThan(0);
  expect((counts['reserved'] ?? 0) + (counts['overloaded'] ?? 0)).toBe(100);
  const inspected = await bench.lanes.inspect({ drop: drop.id, lane: 0 });
  expect(inspected).toMatchObject({
    orders: counts['reserved'],
    items: [{ held: counts['reserved'] }],
  });
});

describe('when the link to Redis fails', () => {
  let server: TestRedis;
  beforeEach(async () => {
    server = await startRedis();
    closers.push(server.remove);
  });

  test("A lost reply gives an unknown outcome with the order's id, and the same key then gives the order", async () => {
    const proxy = await startProxy(server);
    closers.push(proxy.close);
    const url = `redis://:${server.password}@${proxy.host}:${proxy.port}`;
    const bench = await open({ url });
    const drop = aDrop();
    await bench.lanes.publish(drop, 0, true);
    // Once to have the script known and the drop remembered; then without the catalog's own calls.
    await bench.intake.buy(aBuy(drop, { buyer: 'warm' }));
    await bench.catalog.stop();
    await eventually(() => bench.redis.status === 'ready');
    const told = await eventually(async () => {
      const before = proxy.cuts();
      proxy.cutBeforeReply(1);
      const answer = await bench.intake.buy(aBuy(drop));
      return proxy.cuts() > before ? answer : undefined;
    });
    const id = orderId(orderRef(drop.id, 'ann', 'key-1', 1));
    expect(told).toMatchObject({ status: 'outcome_unknown', order: id });
    const truth = await eventually(async () => {
      const answer = await bench.intake.buy(aBuy(drop));
      return answer.status === 'overloaded' ? undefined : answer;
    });
    expect(truth.status).toBe('replayed');
    expect(orderOf(truth)).toBe(id);
    const inspected = await bench.lanes.inspect({ drop: drop.id, lane: 0 });
    expect(inspected).toMatchObject({ orders: 2, items: [{ held: 2, available: 8 }] });
  });

  test('A Buy on a connection that never answers gets an unknown outcome in time, and the same key then gives the order', async () => {
    const proxy = await startProxy(server);
    closers.push(proxy.close);
    const url = `redis://:${server.password}@${proxy.host}:${proxy.port}`;
    const bench = await open({ url, timeoutMs: 150 });
    const drop = aDrop();
    await bench.lanes.publish(drop, 0, true);
    await bench.intake.buy(aBuy(drop, { buyer: 'warm' }));
    proxy.set('blackhole');
    const told = await bench.intake.buy(aBuy(drop));
    expect(told).toMatchObject({ status: 'outcome_unknown' });
    proxy.set('reset');
    proxy.set('pass');
    const truth = await eventually(async () => {
      const answer = await bench.intake.buy(aBuy(drop));
      return answer.status === 'reserved' || answer.status === 'replayed' ? answer : undefined;
    });
    expect(orderOf(truth)).toBe(orderId(orderRef(drop.id, 'ann', 'key-1', 1)));
  });

  test('A Buy that Redis refuses for lack of memory reserves nothing, and the same key buys once there is memory', async () => {
    const bench = await open({ url: server.url });
    const drop = aDrop();
    await bench.lanes.publish(drop, 0, true);
    await bench.intake.buy(aBuy(drop, { buyer: 'bob' }));
    await bench.redis.config('SET', 'maxmemory', '1mb');
    expect(await bench.intake.buy(aBuy(drop))).toMatchObject({ status: 'overloaded' });
    await bench.redis.config('SET', 'maxmemory', '0');
    expect(await bench.lanes.inspect({ drop: drop.id, lane: 0 })).toMatchObject({ orders: 1 });
    expect(await bench.intake.buy(aBuy(drop))).toMatchObject({ status: 'reserved' });
  });

  test.for([
    'OOM command not allowed',
    'MISCONF errors writing to the AOF file',
    "READONLY You can't write against a read only replica.",
    'LOADING Redis is loading the dataset in memory',
    'BUSY Redis is busy running a script',
    'CLUSTERDOWN The cluster is down',
  ])('A Buy to which Redis answers "%s" is refused as overloaded', async (message) => {
    const bench = await open({ url: server.url });
    const drop = aDrop();
    await bench.lanes.publish(drop, 0, true);
    const refusal = Object.assign(new Error(message), { name: 'ReplyError' });
    const lanes: Lanes = { ...bench.lanes, reserve: () => Promise.reject(refusal) };
    const intake = openIntake({ lanes, catalog: bench.catalog });
    expect(await intake.buy(aBuy(drop))).toEqual({ status: 'overloaded', retryAfterMs: 1_000 });
  });

  test('While Redis is down Buys are refused at once, and after its restart they sell again with all orders kept', async () => {
    const bench = await open({ url: server.url, timeoutMs: 500 });
    const drop = aDrop();
    await bench.lanes.publish(drop, 0, true);
    const first = await bench.intake.buy(aBuy(drop));
    await server.kill();
    await eventually(() => bench.redis.status !== 'ready');
    expect((await bench.intake.buy(aBuy(drop, { buyer: 'bob' }))).status).toBe('overloaded');
    await server.restart();
    const again = await eventually(async () => {
      const told = await bench.intake.buy(aBuy(drop));
      return told.status === 'replayed' ? told : undefined;
    });
    expect(orderOf(again)).toBe(orderOf(first));
  });
});
