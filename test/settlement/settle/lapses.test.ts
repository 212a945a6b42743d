import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { type OrderId, placeOf } from '../../../src/domain/ids.ts';
import { redisTime } from '../../../src/inventory/redis-connections.ts';
import { anItem } from '../../support/drops.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { aCashier } from '../cashier.ts';
import { openStage, type Stage } from '../stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

const lane = (drop: Drop) => ({ drop: drop.id, lane: 0 });
const rules = { lapsesMax: 3, holdMs: 60_000, unpaidHoldMs: 50_000 };
let names = 0;
let keys = 0;

/** Moves the end of a hold, so that the sweep may take it in so many milliseconds, its grace included. */
async function leave(drop: Drop, id: OrderId, ms: number): Promise<void> {
  const { digest } = placeOf(id);
  const [orders, holds] = [stage.key(lane(drop), 'orders'), stage.key(lane(drop), 'holds')];
  const { expiresAt } = await stage.inLane(id);
  const record = String(await stage.redis.hget(orders, digest));
  const dueAt = (await redisTime(stage.redis)) + ms;
  const byMs = Number(await stage.redis.zscore(holds, digest)) - dueAt;
  const moved = record.replace(String(expiresAt), String(expiresAt - byMs));
  await stage.redis.multi().hset(orders, digest, moved).zadd(holds, dueAt, digest).exec();
}

/** A sale to one buyer who has to begin each payment, at a provider that may be away. */
async function aSale(overrides: Partial<Drop> = {}) {
  const cashier = aCashier();
  const away = { start: false, close: false };
  const desk = stage.settlement({
    closingGraceMs: 1_000,
    provider: {
      ...cashier.provider,
      scenes: ['page', 'wap'],
      async start(charges) {
        if (away.start) throw new Error('the provider is away');
        return await cashier.provider.start(charges);
      },
      async close(payments) {
        if (away.close) throw new Error('the provider is away');
        return await cashier.provider.close(payments);
      },
    },
  });
  const drop = await stage.publish({ ...rules, ...overrides });
  const buyer = `lapsing-${++names}`;
  return {
    ...cashier,
    away,
    desk,
    drop,
    async buys(): Promise<OrderId> {
      const key = `k${++keys}`;
      const [id] = await stage.reserve(drop, [buyer], { fund: 0, key, awaitsBuyer: true });
      return id;
    },
    begin: (id: OrderId, scene = 'page') => desk.pay(id, { method: 'wallet', wish: { scene } }),
    sweep: () => stage.lanes.sweep(lane(drop), 100),
    /** Moves the end of a hold so far back that the sweep may take it now, its grace included. */
    elapse: (id: OrderId) => leave(drop, id, 0),
    /** The holds that count against the buyer. */
    async lapses() {
      return Number(await stage.redis.hget(stage.key(lane(drop), 'lapses'), buyer));
    },
  };
}

test('An order whose payment could not be begun because the provider was away does not count against its buyer, and one that could be paid does', async () => {
  const { away, desk, buys, begin, lapses } = await aSale();
  away.start = true;
  const id = await buys();
  expect(await begin(id)).toEqual({ kind: 'unknown' });
  await desk.orders.cancel(id);
  expect(await lapses()).toBe(0);

  const other = await buys();
  expect(await begin(other)).toEqual({ kind: 'unknown' });
  away.start = false;
  expect(await begin(other)).toMatchObject({ kind: 'begun' });
  await desk.orders.cancel(other);
  expect(await lapses()).toBe(1);
});

test('A payment that one request could begin and another could not leaves its order to count', async () => {
  const { away, desk, buys, begin, lapses, provider } = await aSale();
  const id = await buys();
  const failing = stage.settlement({
    provider: {
      ...provider,
      // The other request begins the same payment while this one waits for the provider.
      async start() {
        await begin(id);
        throw new Error('the provider serves one request at a time');
      },
    },
  });
  expect(await failing.pay(id, { method: 'wallet', wish: { scene: 'page' } })).toEqual({
    kind: 'unknown',
  });
  expect(away.start).toBe(false);
  await desk.orders.cancel(id);
  expect(await lapses()).toBe(1);
});

test('A hold whose payment nobody could close, because the provider was away, does not count against its buyer', async () => {
  const { away, desk, buys, begin, elapse, sweep, lapses } = await aSale();
  const id = await buys();
  expect(await begin(id)).toMatchObject({ kind: 'begun' });
  await elapse(id);
  away.close = true;
  expect(await desk.settle([id])).toEqual([{ kind: 'waiting' }]);
  expect((await sweep()).released).toBe(1);
  expect(await stage.inLane(id)).toMatchObject({ state: 'released', reason: 'expired' });
  expect(await lapses()).toBe(0);
});

test('A hold counts whose payment its provider refuses to close and says is still open', async () => {
  const { buys, begin, elapse, sweep, lapses, provider } = await aSale();
  const refusing = stage.settlement({ provider: { ...provider, close: provider.lookUp } });
  const id = await buys();
  expect(await begin(id)).toMatchObject({ kind: 'begun' });
  await elapse(id);
  expect(await refusing.settle([id])).toEqual([{ kind: 'waiting' }]);
  expect((await sweep()).released).toBe(1);
  expect(await lapses()).toBe(1);
  // Tried again, as long as it is open.
  expect(await refusing.settle([id])).toEqual([{ kind: 'waiting' }]);
});

test('A hold that ended before the engine found the provider away stops counting then, once', async () => {
  const { away, desk, buys, begin, elapse, sweep, lapses } = await aSale();
  await desk.orders.cancel(await buys());
  const id = await buys();
  await begin(id);
  await elapse(id);
  expect((await sweep()).released).toBe(1);
  expect(await lapses()).toBe(2);
  away.close = true;
  for (let times = 0; times < 2; times += 1) {
    await desk.settle([id]);
    expect(await lapses()).toBe(1);
  }
});

test('A hold counts whose payment the engine closed only after its end', async () => {
  const { desk, buys, begin, elapse, sweep, lapses } = await aSale();
  const id = await buys();
  await begin(id);
  await elapse(id);
  expect((await sweep()).released).toBe(1);
  await desk.settle([id]);
  expect(await lapses()).toBe(1);
});

test('A buyer who has begun as many payments as an order may have keeps the one that is open, and the order counts', async () => {
  const { desk, buys, begin, elapse, sweep, lapses } = await aSale();
  const id = await buys();
  const scenes = Array.from({ length: 21 }, (_, n) => (n % 2 === 0 ? 'page' : 'wap'));
  const kinds: string[] = [];
  for (const scene of scenes) kinds.push((await begin(id, scene)).kind);
  expect(kinds).toEqual([...Array<string>(20).fill('begun'), 'too_many']);
  expect((await stage.ledger.payments.ofOrders([id])).at(-1)).toMatchObject({ state: 'started' });
  expect(await begin(id, 'wap')).toMatchObject({ kind: 'begun' });
  await elapse(id);
  expect((await sweep()).released).toBe(1);
  expect(await lapses()).toBe(1);
  expect(await desk.settle([id])).toEqual([{ kind: 'released' }]);
});

test('Holds that ended while the engine was away count against nobody', async () => {
  const { drop, buys, sweep, lapses } = await aSale();
  // As when Redis, or the process that sweeps, comes back ten seconds after the end.
  const over = { ...drop, version: drop.version + 1, holdMs: -10_000, unpaidHoldMs: -10_000 };
  await stage.lanes.publish(over, 0, false);
  const id = await buys();
  expect((await sweep()).released).toBe(1);
  expect(await stage.inLane(id)).toMatchObject({ state: 'released', reason: 'expired' });
  expect(await lapses()).toBe(0);
});

test('Holds that end while the ledger is away count against nobody', async () => {
  const { drops } = stage.ledger;
  const drop = await stage.publish({ ...rules, unpaidHoldMs: 300 });
  let isAway = false;
  const { start, stop } = stage.settlement({
    provider: aCashier().provider,
    ledger: {
      ...stage.ledger,
      drops: {
        ...drops,
        async active() {
          if (isAway) throw new Error('the ledger is away');
          return await drops.active();
        },
      },
    },
  });
  await start();
  isAway = true;
  const failure = 'reading the list of active drops failed';
  await eventually(async () => stage.logged.some(({ msg }) => msg === failure));
  const [id] = await stage.reserve(drop, ['patient'], { fund: 0, awaitsBuyer: true });
  await eventually(async () => (await stage.inLane(id)).state === 'released');
  expect(await stage.inLane(id)).toMatchObject({ reason: 'expired' });
  expect(await stage.redis.hgetall(stage.key(lane(drop), 'lapses'))).toEqual({});
  await stop();
});

test('A payment that comes too late for a unit takes its lapse back, once, however often it is told', async () => {
  const items = [anItem({ allotment: 1 })];
  const { drop, desk, buys, begin, elapse, pay, sweep, given, lapses } = await aSale({ items });
  await elapse(await buys());
  expect((await sweep()).released).toBe(1);
  const id = await buys();
  const begun = await begin(id);
  if (begun.kind !== 'begun') throw new Error(`not begun: ${begun.kind}`);
  const { reference } = begun.payment;
  // Its payment is closed, and its unit goes to another buyer; then the provider says that it was paid.
  await elapse(id);
  expect(await desk.settle([id])).toEqual([{ kind: 'released' }]);
  expect(await lapses()).toBe(2);
  await stage.reserve(drop, ['other'], { key: `k${++keys}`, fund: 0 });
  pay(reference);
  for (let times = 0; times < 3; times += 1) {
    expect(await desk.settle([id])).toEqual([{ kind: 'released' }]);
  }
  expect(given).toHaveLength(1);
  expect(await lapses()).toBe(1);
});

test('A payment that comes after its buyer cancelled leaves the lapse', async () => {
  const { desk, buys, begin, pay, lapses } = await aSale();
  const id = await buys();
  const begun = await begin(id);
  if (begun.kind !== 'begun') throw new Error(`not begun: ${begun.kind}`);
  await desk.orders.cancel(id);
  pay(begun.payment.reference);
  expect(await desk.settle([id])).toEqual([{ kind: 'released' }]);
  expect(await lapses()).toBe(1);
});

test('An order that the engine finds late to need the password does not count, and one that it finds in time does', async () => {
  const passwordAbove = anItem().unitAmount;
  const items = [anItem({ perBuyer: 3 })];
  const drop = await stage.publish({ ...rules, unpaidHoldMs: 60_000, passwordAbove, items });
  const buys = async (key: string) => (await stage.reserve(drop, ['daily'], { key }))[0];
  const ends = async (id: OrderId) => {
    const place = placeOf(id);
    await stage.lanes.release(place, [{ digest: place.digest, reason: 'expired' }]);
    return Number(await stage.redis.hget(stage.key(lane(drop), 'lapses'), 'daily'));
  };
  expect(await stage.desk.settle([await buys('first')])).toEqual([{ kind: 'paid' }]);

  const late = await buys('late');
  await leave(drop, late, 5_000);
  expect(await stage.desk.settle([late])).toEqual([{ kind: 'waiting' }]);
  expect(await stage.inLane(late)).toMatchObject({ isShortened: true, isExcused: true });
  expect(await ends(late)).toBe(0);

  const inTime = await buys('in time');
  expect(await stage.desk.settle([inTime])).toEqual([{ kind: 'waiting' }]);
  expect(await ends(inTime)).toBe(1);
});
