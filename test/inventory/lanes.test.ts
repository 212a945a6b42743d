import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lanesMax, newDropId, orderRef } from '../../src/domain/ids.ts';
import { byLane } from '../../src/inventory/by-lane.ts';
import { laneKey, laneKeyNames } from '../../src/inventory/keys.ts';
import { laneShare, lanesOf, openLanes } from '../../src/inventory/lanes.ts';
import { parseMoved, parseRecord, parseReserved } from '../../src/inventory/replies.ts';
import { openHot, publishDrop, wishOf } from '../lua/lane.ts';
import { sharedRedisUrl } from '../support/redis.ts';

const namespace = 'test-lanes';
let redis: Redis;

beforeAll(async () => {
  redis = await openHot(sharedRedisUrl());
});
afterAll(async () => {
  const left = await redis.keys(`${namespace}:*`);
  if (left.length > 0) await redis.del(...left);
  redis.disconnect();
});

test('All keys of a lane have the same hash tag, and no two lanes share one', () => {
  const drop = newDropId();
  const tags = lanesOf({ id: drop, lanes: lanesMax }).map((ref) => {
    const keys = laneKeyNames.map((name) => laneKey('fd', ref, name));
    expect(new Set(keys).size).toBe(laneKeyNames.length);
    const tagged = new Set(keys.map((key) => /\{([^}]+)\}/.exec(key)?.[1]));
    expect(tagged.size).toBe(1);
    return [...tagged][0];
  });
  expect(new Set(tags).size).toBe(lanesMax);
});

test('The shares of all lanes add up to the allotment and differ by at most one', () => {
  for (const allotment of [0, 1, 63, 64, 65, 50_000, 10_000_000]) {
    for (const lanes of [1, 2, 7, lanesMax]) {
      const shares = Array.from({ length: lanes }, (_, lane) => laneShare(allotment, lane, lanes));
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(allotment);
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
    }
  }
});

test('Orders are grouped by lane, each once and in their order', () => {
  const drop = newDropId();
  const places = Array.from({ length: 50 }, (_, n) => orderRef(drop, `buyer-${n}`, 'k', 4));
  const groups = byLane(places);
  expect(groups.length).toBe(4);
  for (const { ref, places: grouped } of groups) {
    expect(grouped).toEqual(places.filter((place) => place.lane === ref.lane));
    expect(ref).toEqual({ drop, lane: grouped[0]?.lane });
  }
});

test("An order is found by its digest exactly as reserve returned it, whatever characters its buyer's name has", async () => {
  const lanes = openLanes(redis, namespace);
  const ref = await publishDrop(lanes, { allotment: 20, perBuyer: 1 });
  const buyers = [
    'ann',
    'a|b',
    '|',
    '9|x',
    '0:ann',
    'line\nbreak',
    '"quoted"',
    '微博',
    '\u0001',
    '%d',
  ];
  const wishes = buyers.map((buyer) => wishOf(ref, { buyer, key: 'k' }));
  const answers = await lanes.reserve(ref, wishes);
  const orders = answers.map((answer) => ('order' in answer ? answer.order : undefined));
  expect(orders.map((order) => order?.buyer)).toEqual(buyers);
  const digests = wishes.map(({ digest }) => digest);
  expect(await lanes.find(ref, [...digests, 'nobody'])).toEqual([...orders, undefined]);
  expect(await lanes.confirm(ref, digests)).toEqual(
    orders.map((order) => ({ status: 'paid', order: { ...order, state: 'paid', version: 2 } })),
  );
});

test('A call for no orders sends nothing and returns nothing', async () => {
  const lanes = openLanes(redis, namespace);
  const ref = await publishDrop(lanes, { allotment: 1, perBuyer: 1 });
  expect(await lanes.confirm(ref, [])).toEqual([]);
  expect(await lanes.release(ref, [])).toEqual([]);
  expect(await lanes.refund(ref, [])).toEqual([]);
  expect(await lanes.find(ref, [])).toEqual([]);
  expect(await lanes.reserve(ref, [])).toEqual([]);
});

test('A reply that no script gives is reported as a bug', () => {
  const ref = { drop: newDropId(), lane: 0 };
  const words = ['paid', 'unknown'] as const;
  const record = 'p|0|1|100|0|1|wallet||ann';
  expect(() => parseReserved(ref, 'd', 'perhaps')).toThrow(/^bug: /);
  expect(() => parseMoved(words, { ref, digest: 'd' }, 'paid|garbage')).toThrow(/^bug: /);
  expect(() => parseMoved(words, { ref, digest: 'd' }, `gone|${record}`)).toThrow(/^bug: /);
  expect(parseMoved(words, { ref, digest: 'd' }, `paid|${record}`)).toMatchObject({
    status: 'paid',
  });
  expect(() => parseRecord(ref, 'd', record.replace('100', 'ten'))).toThrow(/^bug: /);
  expect(() => parseRecord(ref, 'd', record.replace('||', '|bored|'))).toThrow(/^bug: /);
  expect(() => parseRecord(ref, 'd', 'q|0|1|100|0|1|wallet||ann')).toThrow(/^bug: /);
});

test('Opening the lanes leaves the commands of the connection unchanged', async () => {
  openLanes(redis, namespace);
  expect(await redis.publish(`${namespace}:nobody-listens`, 'still a message')).toBe(0);
});
