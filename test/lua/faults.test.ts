import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LaneKey, laneKey } from '../../src/inventory/keys.ts';
import { type Lanes, openLanes } from '../../src/inventory/lanes.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { countStatuses, expectFigures, openHot, publishDrop, wishOf } from './lane.ts';

let server: TestRedis;
let redis: Redis;
let other: Redis;
let lanes: Lanes;

beforeAll(async () => {
  server = await startRedis();
  [redis, other] = await Promise.all([openHot(server.url), openHot(server.url)]);
  lanes = openLanes(redis, 'test-faults');
});
afterAll(async () => {
  redis.disconnect();
  other.disconnect();
  await server.remove();
});

test('When Redis is out of memory no new order is reserved and every open order still ends', async () => {
  const ref = await publishDrop(lanes, { allotment: 40, perBuyer: 1 }, { holdMs: 0 });
  const late = await publishDrop(lanes, { allotment: 5, perBuyer: 1 });
  const wishes = Array.from({ length: 40 }, (_, n) => wishOf(ref, { buyer: `b${n}`, key: 'k' }));
  const digests = wishes.map(({ digest }) => digest);
  await lanes.reserve(ref, wishes.slice(0, 30));
  const dump = () =>
    Promise.all([
      redis.hgetall(key('stock')),
      redis.hlen(key('orders')),
      redis.xlen(key('outbox')),
    ]);
  const key = (name: LaneKey) => laneKey('test-faults', ref, name);

  await redis.config('SET', 'maxmemory', '1mb');
  const before = await dump();
  await expect(lanes.reserve(ref, wishes.slice(30))).rejects.toThrow(/^OOM /);
  const more = { id: 'e1', item: 0, delta: 5, reason: 'more' };
  await expect(lanes.adjust(ref, more)).rejects.toThrow(/^OOM /);
  await expect(lanes.appoint(ref, ['ann'])).rejects.toThrow(/^OOM /);
  await expect(publishDrop(lanes, { allotment: 1, perBuyer: 1 })).rejects.toThrow(/^OOM /);
  expect(await dump()).toEqual(before);

  expect(countStatuses(await lanes.confirm(ref, digests.slice(0, 10)))).toEqual({ paid: 10 });
  expect(countStatuses(await lanes.refund(ref, digests.slice(0, 2)))).toEqual({ refunded: 2 });
  const given = digests.slice(10, 15).map((digest) => ({ digest, reason: 'cancelled' as const }));
  expect(countStatuses(await lanes.release(ref, given))).toEqual({ released: 5 });
  expect((await lanes.sweep(ref, 100)).released).toBe(15);
  await expectFigures(lanes, ref, { held: 0, sold: 8, orders: 30 });

  await redis.config('SET', 'maxmemory', '0');
  expect(countStatuses(await lanes.reserve(ref, wishes.slice(30)))).toEqual({ reserved: 10 });
  await expectFigures(lanes, late, { held: 0, sold: 0, orders: 0 });
});

test('A hold whose order is lost does not stop the release of other holds', async () => {
  const ref = await publishDrop(lanes, { allotment: 5, perBuyer: 1 }, { holdMs: 0 });
  const wishes = ['ann', 'bob'].map((buyer) => wishOf(ref, { buyer, key: 'k' }));
  await lanes.reserve(ref, wishes);
  await redis.hdel(laneKey('test-faults', ref, 'orders'), wishes[0]?.digest ?? '');
  await lanes.sweep(ref, 10);
  expect(await lanes.inspect(ref)).toMatchObject({ holds: 0, items: [{ available: 4, held: 1 }] });
});

test('Scripts that the server forgets are sent again without an error to the caller', async () => {
  const ref = await publishDrop(lanes, { allotment: 100_000, perBuyer: 1 });
  let going = true;
  let flushes = 0;
  const flush = setInterval(() => {
    flushes += 1;
    void other.script('FLUSH');
  }, 10);
  const buyers = Array.from({ length: 16 }, async (_, buyer) => {
    let orders = 0;
    for (; going; orders += 1) {
      const wish = wishOf(ref, { buyer: `${buyer}-${orders}`, key: 'k' });
      const [answer] = await lanes.reserve(ref, [wish]);
      expect(answer?.status).toBe('reserved');
      const [ended] = await lanes.confirm(ref, [wish.digest]);
      expect(ended?.status).toBe('paid');
    }
    return orders;
  });
  setTimeout(() => {
    going = false;
  }, 1_500);
  try {
    const sold = (await Promise.all(buyers)).reduce((sum, orders) => sum + orders, 0);
    expect(flushes).toBeGreaterThan(10);
    expect(sold).toBeGreaterThan(100);
    await expectFigures(lanes, ref, { held: 0, sold, orders: sold });
  } finally {
    going = false;
    clearInterval(flush);
  }
});
