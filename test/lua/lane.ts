import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import type { Drop, Item } from '../../src/domain/drop.ts';
import { type LaneRef, newDropId, newMerchantId, orderRef } from '../../src/domain/ids.ts';
import type { Lanes, Reservation } from '../../src/inventory/lanes.ts';
import { connectHot } from '../../src/inventory/redis-connections.ts';
import { untilReady } from '../support/redis.ts';

/** A connection as the hot path has it, once it can be used. */
export async function openHot(url: string): Promise<Redis> {
  const redis = connectHot(url, { timeoutMs: 10_000 });
  await untilReady(redis);
  return redis;
}

/** Publishes an open drop of one lane and one item, and answers its lane. */
export async function publishDrop(
  lanes: Lanes,
  item: Pick<Item, 'allotment' | 'perBuyer'>,
  rules: Partial<Drop> = {},
): Promise<LaneRef> {
  const ref = { drop: newDropId(), lane: 0 };
  const drop: Drop = {
    id: ref.drop,
    merchantId: newMerchantId(),
    title: 'a drop',
    currency: 'CNY',
    startsAt: 0,
    endsAt: Date.now() + 3_600_000,
    holdMs: 600_000,
    lateCapture: 'retake',
    lanes: 1,
    version: 1,
    decision: 'live',
    items: [{ sku: 'one', title: 'an item', unitAmount: 199_900, ...item }],
    ...rules,
  };
  expect(await lanes.publish(drop, 0, true)).toBe('published');
  return ref;
}

export function wishOf(ref: LaneRef, who: { buyer: string; key: string }): Reservation {
  const { digest } = orderRef(ref.drop, who.buyer, who.key, 1);
  return { digest, buyer: who.buyer, item: 0, quantity: 1, method: 'wallet', awaitsBuyer: false };
}

/** How often each reply word was answered. */
export function countStatuses(answers: { status: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Asserts what a lane of one item keeps, and that its units are conserved. */
export async function expectFigures(
  lanes: Lanes,
  ref: LaneRef,
  expected: { held: number; sold: number; orders: number },
): Promise<void> {
  const inspected = await lanes.inspect(ref);
  if (inspected.status !== 'done') throw new Error('the lane holds nothing');
  const [figures] = inspected.items;
  if (!figures) throw new Error('the lane has no item');
  const { available, held, sold, allotment } = figures;
  expect({ held, sold, orders: inspected.orders, holds: inspected.holds }).toEqual({
    ...expected,
    holds: expected.held,
  });
  expect(available + held + sold).toBe(allotment);
  expect(Math.min(available, held, sold)).toBeGreaterThanOrEqual(0);
}
