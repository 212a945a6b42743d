import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { Drop } from '../../src/domain/drop.ts';
import type { LaneRef } from '../../src/domain/ids.ts';
import { type LaneKey, laneKey } from '../../src/inventory/keys.ts';
import type { Lanes } from '../../src/inventory/lanes.ts';
import { buyersOf, figuresOf, holdsOf, type Model, packed } from './model.ts';

/** A lane on a real Redis, driven beside a model of it. */
export type Real = {
  redis: Redis;
  lanes: Lanes;
  ref: LaneRef;
  key(name: LaneKey): string;
  /** The last outbox entry that was compared. */
  lastEvent: string;
  /** The drop as last published. */
  drop: Drop | undefined;
  /** `<verb> <reply word>` → how often it was answered. */
  words: Map<string, number>;
};

export function newReal(options: {
  redis: Redis;
  lanes: Lanes;
  namespace: string;
  ref: LaneRef;
  words: Map<string, number>;
}): Real {
  const { redis, lanes, namespace, ref, words } = options;
  const key = (name: LaneKey) => laneKey(namespace, ref, name);
  return { redis, lanes, ref, key, lastEvent: '0-0', drop: undefined, words };
}

/**
 * Calls a verb and asserts that its answer and what it appended to the outbox are what the model
 * says. The model is judged at the instant the script itself reports (`now` in the answer or `at`
 * in the entry), which must lie between the server's clock right before and right after; a call
 * that reports none changed nothing, and is judged at the instant right before it.
 */
export async function sideBySide<T>(
  verb: string,
  { model, real }: { model: Model; real: Real },
  act: () => Promise<T>,
  expected: (now: number) => T,
): Promise<void> {
  const outbox = real.key('outbox');
  // One connection runs these four in the order they are written here.
  const [before, reply, after, entries] = await Promise.all([
    serverTime(real.redis),
    act(),
    serverTime(real.redis),
    real.redis.xrange(outbox, `(${real.lastEvent}`, '+'),
  ]);
  assert.ok(entries.length <= 1, `${entries.length} outbox entries for one call`);
  real.lastEvent = entries[0]?.[0] ?? real.lastEvent;
  const at = entries.map(([, fields]) => Number(pairsOf(fields)[0]?.[1]));
  const now = reportedBy(reply) ?? at[0] ?? before;
  assert.ok(before <= now && now <= after, `${now} is not within ${before} and ${after}`);

  const told = model.outbox.length;
  assert.deepStrictEqual(reply, expected(now));
  assert.deepStrictEqual(
    entries.map(([, fields]) => pairsOf(fields)),
    model.outbox.slice(told).map((entry) => [...entry]),
  );
  for (const one of Array.isArray(reply) ? reply : [reply]) {
    const name = `${verb} ${typeof one === 'string' ? one : (one.status ?? 'done')}`;
    real.words.set(name, (real.words.get(name) ?? 0) + 1);
  }
}

function reportedBy(reply: unknown): number | undefined {
  return (reply as { now?: number }).now;
}

/** Milliseconds since the epoch on the server's clock. */
export async function serverTime(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

/** Asserts that everything the lane keeps is what the model says, and that units are conserved. */
export async function compareWhole({ model, real }: { model: Model; real: Real }): Promise<void> {
  const { redis, key } = real;
  const stock = await redis.hgetall(key('stock'));
  const figures = model.allotments.map((_, item) => figuresOf(model, item));
  assert.deepStrictEqual(
    sorted(stock),
    sorted(
      Object.fromEntries(
        figures.flatMap((item, index) =>
          Object.entries(item).map(([name, value]) => [`${name}:${index}`, String(value)]),
        ),
      ),
    ),
  );
  for (let item = 0; item < figures.length; item += 1) {
    const [available = 0, held = 0, sold = 0] = ['available', 'held', 'sold'].map((name) => {
      const value = Number(stock[`${name}:${item}`]);
      assert.ok(value >= 0, `${name} of item ${item} is ${value}`);
      return value;
    });
    assert.equal(available + held + sold, Number(stock[`allotment:${item}`]));
  }
  assert.deepStrictEqual(
    sorted(await redis.hgetall(key('orders'))),
    sorted(mapped(model.orders, packed)),
  );
  assert.deepStrictEqual(
    sorted(await redis.hgetall(key('buyers'))),
    sorted(mapped(buyersOf(model), ({ units, last }) => `${units}|${last}`)),
  );
  assert.deepStrictEqual(
    sorted(await redis.hgetall(key('lapses'))),
    sorted(mapped(model.lapses, String)),
  );
  assert.deepStrictEqual(
    await redis.zrange(key('holds'), '0', '-1', 'WITHSCORES'),
    holdsOf(model).flatMap(({ digest, dueAt }) => [digest, String(dueAt)]),
  );
  assert.deepStrictEqual(
    sorted(await redis.hgetall(key('edits'))),
    sorted(
      mapped(model.edits, ({ figures: { available, held, sold, allotment }, request }) =>
        [available, held, sold, allotment, request].join('|'),
      ),
    ),
  );
  const { count = '0', removed = '0', ...buckets } = await redis.hgetallBuffer(key('appointments'));
  const bytes = Object.values(buckets).reduce((sum, bucket) => sum + bucket.length, 0);
  assert.equal(Number(count) - Number(removed), model.appointed.size);
  assert.equal(bytes, 8 * model.appointed.size);
  assert.equal(await redis.xlen(key('outbox')), model.outbox.length);
  await compareRules({ model, real });
}

async function compareRules({ model, real }: { model: Model; real: Real }): Promise<void> {
  const rules = await real.redis.hgetall(real.key('rules'));
  assert.deepStrictEqual(await real.lanes.readDrop(real.ref), real.drop);
  if (!model.rules) {
    assert.deepStrictEqual(rules, {});
    return;
  }
  const { items, ...plain } = model.rules;
  assert.deepStrictEqual(
    sorted(rules),
    sorted({
      ...Object.fromEntries(Object.entries(plain).map(([name, value]) => [name, String(value)])),
      ...Object.fromEntries(
        items.map(({ unitAmount, perBuyer }, i) => [`item:${i}`, `${unitAmount}|${perBuyer}`]),
      ),
      items: String(items.length),
      drop: JSON.stringify(real.drop),
    }),
  );
}

function pairsOf(fields: string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < fields.length; i += 2) {
    pairs.push([fields[i] as string, fields[i + 1] as string]);
  }
  return pairs;
}

function mapped<V>(map: Map<string, V>, text: (value: V) => string): Record<string, string> {
  return Object.fromEntries([...map].map(([name, value]) => [name, text(value)]));
}

function sorted(record: Record<string, string>): [string, string][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
