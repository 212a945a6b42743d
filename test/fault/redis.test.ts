import { setTimeout as wait } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ledger } from '../../src/ledger/ledger.ts';
import type { OnStep } from '../../src/settlement/steps.ts';
import { startTestEngine, type TestEngine, type TestEngineOptions } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { startProxy, type TcpProxy } from '../support/proxy.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { openSale, type Sale, type SaleOptions } from '../support/sale.ts';
import { openStallingWallet } from '../support/stalling.ts';
import { openTestLedger } from '../support/test-ledger.ts';

// What is between the engine and its Redis fails in each way; the engine runs in this process and
// is asked over HTTP alone.

const stalling = openStallingWallet();
// A ledger belongs to one namespace: in another its drops would have lost their lanes.
const namespace = 'fault';
// A cut can take away the reply that handed a job to the worker: it is taken for stalled then.
const timings = {
  redriveEveryMs: 100,
  redriveStaleMs: 1_000,
  claimIdleMs: 200,
  lockDurationMs: 1_000,
  stalledIntervalMs: 500,
};
let redis: TestRedis;
let proxy: TcpProxy;
let ledger: Ledger;
beforeAll(async () => {
  [redis, ledger] = await Promise.all([startRedis(), openTestLedger()]);
  proxy = await startProxy(redis);
});
afterAll(async () => {
  await proxy?.close();
  await ledger?.close();
  await redis?.remove();
});

type Own = Parameters<typeof openSale>[0];

/** Runs a test on a sale of an engine of its own, whose way to Redis is the proxy. */
async function onSale(
  options: SaleOptions & Partial<TestEngineOptions>,
  judge: (on: { sale: Sale; engine: TestEngine; own: Own; address: string }) => Promise<void>,
): Promise<void> {
  const redisUrl = `redis://:${redis.password}@${proxy.host}:${proxy.port}`;
  const { units, holdMs, ...rest } = options;
  const engine = await startTestEngine({
    redisUrl,
    ledger,
    namespace,
    settings: { demo: true },
    redisTimeoutMs: 400,
    provider: stalling.provider,
    timings,
    ...rest,
  });
  try {
    const address = await engine.serve();
    const { apiKey } = await engine.merchant();
    const own = { address, merchantKey: apiKey };
    const sale = await openSale(own, holdMs === undefined ? { units } : { units, holdMs });
    await judge({ sale, engine, own, address });
  } finally {
    proxy.set('reset');
    proxy.set('pass');
    await engine.stop();
  }
}

/** Everything a client may be told while Redis is away or slow, and nothing else. */
const honest = ['', 'all_held', 'outcome_unknown', 'overloaded', 'sold_out'];
const dishonest = (sale: Sale) => sale.told().filter((code) => !honest.includes(code));

describe('A Redis that is killed under load and starts again', () => {
  test('A killed Redis costs clients nothing but 503s, loses no acknowledged order, and the sale goes on', async () => {
    await onSale({ units: 60 }, async ({ sale, address }) => {
      const probe = await sale.one();
      const buyers = await sale.gather(90);
      let back: Promise<void> | undefined;
      const outage = async () => {
        await redis.kill();
        const refused = await eventually(async () => {
          const answers = await Promise.all(Array.from({ length: 30 }, () => sale.press(probe)));
          return answers.every(({ status }) => status === 503) && answers;
        });
        const waits = refused.map(({ retryAfter }) => Number(retryAfter));
        expect(Math.min(...waits)).toBeGreaterThanOrEqual(1);
        expect(new Set(waits).size).toBeGreaterThan(1); // or all would come again at once
        expect((await fetch(`${address}/readyz`)).status).toBe(503);
        await redis.restart();
      };
      await sale.run(buyers, {
        pressing: 30,
        onAccepted(accepted) {
          if (accepted === 20) back = outage();
        },
      });
      await back;
      expect(await sale.judged()).toMatchObject({ available: 0, sold: 60, paid: 60 });
      expect(dishonest(sale)).toEqual([]);
      await eventually(async () => (await fetch(`${address}/readyz`)).ok);
    });
  });
});

test('An engine that is asked to stop while its Redis is down stops, whatever it is doing', async () => {
  const { promise: away, resolve: isAway } = Promise.withResolvers<void>();
  let recorded = 0;
  const onStep: OnStep = (step) => {
    if (step !== 'relay recorded') return;
    recorded += 1;
    return away; // so that the relay is about to call on a queue that is not there
  };
  await onSale({ units: 5, redisUrl: redis.url, onStep }, async ({ sale, engine }) => {
    await Promise.all((await sale.gather(5)).map((one) => sale.press(one)));
    await eventually(() => recorded > 0);
    await redis.kill();
    const refused = () => engine.logged.filter((line) => line.includes('ECONNREFUSED'));
    await eventually(() => refused().length > 5);
    isAway();
    const stopped = engine.stop().then(() => 'stopped');
    expect(await Promise.race([stopped, wait(6_000, 'hangs')])).toBe('stopped');
  }).finally(() => redis.restart());
});

describe('The connection to Redis', () => {
  test('A connection cut in place of a reply leaves one order, which the same key then returns', async () => {
    await onSale({ units: 20 }, async ({ sale }) => {
      const buyers = await sale.gather(20);
      for (const [n, one] of buyers.entries()) {
        proxy.cutBeforeReply(1 + (n % 3));
        const told = await sale.press(one);
        if (told.code === 'outcome_unknown') {
          const truth = await untilTaken(sale, one);
          expect(truth.json['id']).toBe(told.json['order']);
        } else if (told.status !== 202) await untilTaken(sale, one);
      }
      expect(proxy.cuts()).toBeGreaterThan(0);
      expect(await sale.judged()).toMatchObject({ available: 0, sold: 20, paid: 20, orders: 20 });
      expect(dishonest(sale)).toEqual([]);
    });
  });

  test('A Buy over a connection that swallows everything is answered in time, and the same key later gets the real result', async () => {
    await onSale({ units: 60 }, async ({ sale, address }) => {
      const buyers = await sale.gather(40);
      await sale.press(await sale.one());
      proxy.set('blackhole');
      const told = await Promise.all(buyers.map((one) => sale.press(one)));
      for (const { status, code, retryAfter, json } of told) {
        expect([status, code]).toEqual([503, 'outcome_unknown']);
        expect(json['order']).toMatch(/^ord_/);
        expect(Number(retryAfter)).toBeGreaterThanOrEqual(1);
      }
      await eventually(async () => (await fetch(`${address}/readyz`)).status === 503);
      proxy.set('reset');
      proxy.set('pass');
      for (const [n, one] of buyers.entries()) {
        expect((await untilTaken(sale, one)).json['id']).toBe(told[n]?.json['order']);
      }
      expect(await sale.judged()).toMatchObject({ sold: 41, paid: 41, orders: 41 });
    });
  });

  test('A Buy that is delivered after the time-out still runs once', async () => {
    await onSale({ units: 10 }, async ({ sale }) => {
      const one = await sale.one();
      await sale.press(await sale.one());
      proxy.set('delay', { delayMs: 500 });
      const told = await sale.press(one);
      expect(told).toMatchObject({ status: 503, code: 'outcome_unknown' });
      proxy.set('pass');
      expect(await untilTaken(sale, one)).toMatchObject({ json: { id: told.json['order'] } });
      expect(await sale.judged()).toMatchObject({ sold: 2, orders: 2 });
    });
  });

  test('On a slow connection, Buys beyond the bounds are refused, and the others sell the stock out exactly', async () => {
    const limits = { batchMax: 16, inFlightMax: 2, queueMax: 24 };
    await onSale({ units: 40, limits, redisTimeoutMs: 2_000 }, async ({ sale }) => {
      const buyers = await sale.gather(80);
      proxy.set('delay', { delayMs: 100 });
      await sale.run(buyers, { pressing: 80 });
      expect(sale.told()).toContain('overloaded');
      proxy.set('pass');
      expect(await sale.judged()).toMatchObject({ available: 0, sold: 40, paid: 40 });
      expect(dishonest(sale)).toEqual([]);
    });
  });
});

test('Scripts flushed again and again during a sale cause no failed request', async () => {
  await onSale({ units: 60 }, async ({ sale }) => {
    const buyers = await sale.gather(100);
    const flusher = new Redis(redis.url);
    let over = false;
    let flushes = 0;
    const crowd = sale.run(buyers, { pressing: 20 }).finally(() => {
      over = true;
    });
    while (!over) {
      await flusher.script('FLUSH');
      flushes += 1;
    }
    await crowd;
    const flushing = setInterval(() => flusher.script('FLUSH').catch(() => {}), 20);
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 60, paid: 60 });
    clearInterval(flushing);
    flusher.disconnect();
    expect(flushes).toBeGreaterThan(3);
    expect(sale.told().filter((code) => !['', 'all_held', 'sold_out'].includes(code))).toEqual([]);
  });
});

test('A Redis without memory refuses Buys with nothing reserved, still releases units, and recovers', async () => {
  await onSale({ units: 4, holdMs: 1_000 }, async ({ sale: lapsing, own }) => {
    const selling = await openSale(own, { units: 10 });
    const [idle, buyers] = [await lapsing.gather(4), await selling.gather(6)];
    for (const { buyer } of idle) stalling.keepWaiting(buyer);
    const held = await Promise.all(idle.map((one) => lapsing.press(one)));
    expect(held.map(({ status }) => status)).toEqual([202, 202, 202, 202]);
    const operator = new Redis(redis.url);
    await operator.config('SET', 'maxmemory', '1');
    for (const one of buyers) {
      const told = await selling.press(one);
      expect(told).toMatchObject({ status: 503, code: 'overloaded' });
      expect(Number(told.retryAfter)).toBeGreaterThanOrEqual(1);
    }
    await eventually(async () => (await lapsing.figures()).available === 4);
    await operator.config('SET', 'maxmemory', '0');
    operator.disconnect();
    for (const one of buyers) await untilTaken(selling, one);
    expect(await selling.judged()).toMatchObject({ available: 4, sold: 6, paid: 6, orders: 6 });
    expect(await lapsing.judged()).toMatchObject({ available: 4, captured: 0, orders: 4 });
  });
});

/** Presses under the same key, as a client does that was told to come again, until it is taken. */
async function untilTaken(sale: Sale, buyer: Parameters<Sale['press']>[0]) {
  return await eventually(async () => {
    const answer = await sale.press(buyer);
    return answer.status === 202 ? answer : undefined;
  });
}
