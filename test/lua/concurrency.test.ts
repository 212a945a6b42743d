import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBuyersMax, callOrdersMax, type Lanes, openLanes } from '../../src/inventory/lanes.ts';
import { sharedRedisUrl } from '../support/redis.ts';
import { countStatuses, expectFigures, openHot, publishDrop, wishOf } from './lane.ts';

const namespace = 'test-concurrency';
// Calls on one connection run in order; several connections make them meet in the server.
let connections: Redis[];
let lanes: Lanes[];

beforeAll(async () => {
  connections = await Promise.all(Array.from({ length: 8 }, () => openHot(sharedRedisUrl())));
  lanes = connections.map((redis) => openLanes(redis, namespace));
});
afterAll(async () => {
  const [redis] = connections;
  const left = (await redis?.keys(`${namespace}:*`)) ?? [];
  if (left.length > 0) await redis?.del(...left);
  for (const connection of connections) connection.disconnect();
});

function lanesOf(n: number): Lanes {
  return lanes[n % lanes.length] as Lanes;
}

test('The same key a hundred times at once gives one order', async () => {
  const ref = await publishDrop(lanesOf(0), { allotment: 50, perBuyer: 10 });
  const wish = wishOf(ref, { buyer: 'ann', key: 'tap' });
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, n) => lanesOf(n).reserve(ref, [wish])),
  );
  expect(countStatuses(answers.flat())).toEqual({ reserved: 1, replayed: 99 });
  const ids = answers.flat().map((answer) => ('order' in answer ? answer.order.id : undefined));
  expect(new Set(ids).size).toBe(1);
  await expectFigures(lanesOf(0), ref, { held: 1, sold: 0, orders: 1 });
});

test('A hundred keys of one buyer at once give no more units than the limit', async () => {
  const ref = await publishDrop(lanesOf(0), { allotment: 50, perBuyer: 2 });
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, n) =>
      lanesOf(n).reserve(ref, [wishOf(ref, { buyer: 'ann', key: `tab ${n}` })]),
    ),
  );
  expect(countStatuses(answers.flat())).toEqual({ reserved: 2, buyer_limit: 98 });
  const won = answers.flat().flatMap((answer) => ('order' in answer ? answer.order.id : []));
  for (const answer of answers.flat()) {
    if (answer.status === 'buyer_limit') expect(won).toContain(answer.holder);
  }
  await expectFigures(lanesOf(0), ref, { held: 2, sold: 0, orders: 2 });
});

test('Five hundred buyers at once, in batches and alone, get exactly the hundred units there are', async () => {
  const ref = await publishDrop(lanesOf(0), { allotment: 100, perBuyer: 1 });
  const wishes = Array.from({ length: 500 }, (_, n) => wishOf(ref, { buyer: `b${n}`, key: 'k' }));
  const calls: (typeof wishes)[] = [];
  while (wishes.length > 0) calls.push(wishes.splice(0, 1 + (calls.length % 9)));
  const answers = await Promise.all(calls.map((batch, n) => lanesOf(n).reserve(ref, batch)));
  expect(countStatuses(answers.flat())).toEqual({ reserved: 100, all_held: 400 });
  await expectFigures(lanesOf(0), ref, { held: 100, sold: 0, orders: 100 });
});

test('Confirm, release and sweep at the same time end each order once', async () => {
  const ref = await publishDrop(
    lanesOf(0),
    { allotment: 200, perBuyer: 1 },
    { holdMs: 0, lateCapture: 'refund' },
  );
  const wishes = Array.from({ length: 200 }, (_, n) => wishOf(ref, { buyer: `b${n}`, key: 'k' }));
  await lanesOf(0).reserve(ref, wishes);
  const ends = { paid: 0, released: 0, swept: 0 };
  await Promise.all(
    wishes.flatMap(({ digest }, n) => [
      lanesOf(n)
        .confirm(ref, [digest])
        .then(([answer]) => {
          if (answer?.status === 'paid') ends.paid += 1;
        }),
      lanesOf(n + 3)
        .release(ref, [{ digest, reason: 'cancelled' }])
        .then(([answer]) => {
          if (answer?.status === 'released') ends.released += 1;
        }),
      ...(n % 20 === 0
        ? [
            lanesOf(n + 5)
              .sweep(ref, 3)
              .then(({ released }) => {
                ends.swept += released;
              }),
          ]
        : []),
    ]),
  );
  expect(ends.paid + ends.released + ends.swept).toBe(200);
  await expectFigures(lanesOf(0), ref, { held: 0, sold: ends.paid, orders: 200 });
});

test('A call with the most orders allowed works in every script', async () => {
  const ref = await publishDrop(lanesOf(0), { allotment: callOrdersMax, perBuyer: 1 });
  const wishes = Array.from({ length: callOrdersMax }, (_, n) =>
    wishOf(ref, { buyer: `b${n}`, key: 'k' }),
  );
  const digests = wishes.map(({ digest }) => digest);
  const verbs = lanesOf(0);
  expect(countStatuses(await verbs.reserve(ref, wishes))).toEqual({ reserved: callOrdersMax });
  expect(countStatuses(await verbs.confirm(ref, digests))).toEqual({ paid: callOrdersMax });
  expect(countStatuses(await verbs.refund(ref, digests))).toEqual({ refunded: callOrdersMax });
  await expectFigures(verbs, ref, { held: 0, sold: 0, orders: callOrdersMax });
});

test('Appointments made twice and at once count once for each buyer, and no other buyer has one', async () => {
  const ref = await publishDrop(
    lanesOf(0),
    { allotment: callOrdersMax, perBuyer: 1 },
    { appointment: { from: 0, until: 1 } },
  );
  const names = Array.from({ length: 9 * callBuyersMax }, (_, n) => `b${n}`);
  const calls = [0, 1].flatMap((round) =>
    Array.from({ length: 9 }, (_, n) => {
      const from = n * callBuyersMax;
      const batch = names.slice(from, from + callBuyersMax);
      return lanesOf(n + round).appoint(ref, round === 0 ? batch : batch.reverse());
    }),
  );
  const answers = (await Promise.all(calls)).flat().map((status) => ({ status }));
  expect(countStatuses(answers)).toEqual({ appointed: names.length, already: names.length });
  expect(await lanesOf(0).inspect(ref)).toMatchObject({ appointments: names.length });
  const others = names.map((name) => `${name}'s friend`);
  for (let at = 0; at < names.length; at += callOrdersMax) {
    const wishes = others.slice(at, at + callOrdersMax).map((buyer) => {
      return wishOf(ref, { buyer, key: 'k' });
    });
    expect(countStatuses(await lanesOf(0).reserve(ref, wishes))).toEqual({
      no_appointment: callOrdersMax,
    });
  }
  const wishes = names.slice(0, callOrdersMax).map((buyer) => wishOf(ref, { buyer, key: 'k' }));
  expect(countStatuses(await lanesOf(0).reserve(ref, wishes))).toEqual({ reserved: callOrdersMax });
  await expectFigures(lanesOf(0), ref, { held: callOrdersMax, sold: 0, orders: callOrdersMax });
});
