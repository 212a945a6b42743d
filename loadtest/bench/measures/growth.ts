import { newMerchantId } from '../../../src/domain/ids.ts';
import { laneKey } from '../../../src/inventory/keys.ts';
import { openLanes } from '../../../src/inventory/lanes.ts';
import { runInFlight } from '../load/in-flight.ts';
import { benchDrop, benchReservations } from '../support/drop.ts';
import type { Figure } from '../support/figures.ts';
import { type BenchRedis, startRedis } from '../support/redis.ts';

const batch = 32;
const inFlight = 2;
const fillBatch = 500;
const sizes = { small: 10_000, middle: 100_000, large: 1_000_000 };
/** How many small lanes are measured; a single one is too short to time. */
const smallLanes = 20;

/** What an order costs, microseconds: on the clock, and of the server's processor. */
type Cost = { wall: number; cpu: number };

/**
 * What one more order costs a lane that holds many, against a lane that holds few. Each lane is
 * measured while it doubles: then its hashes have grown once, and what growing costs is in the
 * figure in full and not more often than it comes. So have the rewrites of the append-only file,
 * which begin at 64 MB of it. Lanes are filled with large batches and their outboxes emptied as the
 * relay does; then orders come as the intake sends them.
 */
export async function measureGrowth(redis: BenchRedis): Promise<Figure[]> {
  await measureSmall(redis, smallLanes / 4); // Warms the client up and does not count.
  // Small lanes before and after, so that a machine that slows down slows both.
  const before = await measureSmall(redis, smallLanes / 2);
  const { middle, large } = await measureLarge();
  const after = await measureSmall(redis, smallLanes / 2);
  const small = { wall: (before.wall + after.wall) / 2, cpu: (before.cpu + after.cpu) / 2 };
  const how = (size: number) =>
    `per order while a lane grows from ${size} to ${2 * size}, batches of ${batch}, appendfsync always`;
  return [
    { name: 'order_cost_10k_micros', value: small.wall, unit: 'µs', how: how(sizes.small) },
    { name: 'order_cost_100k_micros', value: middle.wall, unit: 'µs', how: how(sizes.middle) },
    { name: 'order_cost_1m_micros', value: large.wall, unit: 'µs', how: how(sizes.large) },
    {
      name: 'cost_growth_1m',
      value: large.wall / small.wall,
      unit: 'x',
      max: 1.15,
      how: 'the last ÷ the first, growing hashes and rewrites of the append-only file included',
      why: 'Redis moves the entries of the hashes that double at 2^20 while orders come, and rewrites the append-only file beside it (docs/decisions/0008-where-the-time-goes.md)',
    },
    {
      name: 'cost_growth_1m_cpu',
      value: large.cpu / small.cpu,
      unit: 'x',
      how: 'the same in processor time of the server and of its rewrites',
    },
  ];
}

/** So many lanes, one after the other. */
async function measureSmall(redis: BenchRedis, count: number): Promise<Cost> {
  const sum = { wall: 0, cpu: 0 };
  for (let n = 0; n < count; n += 1) {
    await redis.empty();
    const lane = await openLane(redis);
    await lane.fill(sizes.small);
    const cost = await lane.double();
    lane.close();
    sum.wall += cost.wall / count;
    sum.cpu += cost.cpu / count;
  }
  return sum;
}

/** On a server of its own, so that what its size costs meets no other. */
async function measureLarge(): Promise<{ middle: Cost; large: Cost }> {
  const redis = await startRedis();
  try {
    const lane = await openLane(redis);
    await lane.fill(sizes.middle);
    const middle = await lane.double();
    await lane.fill(sizes.large);
    const large = await lane.double();
    lane.close();
    return { middle, large };
  } finally {
    await redis.stop();
  }
}

async function openLane(redis: BenchRedis) {
  const connection = redis.connect();
  const lanes = openLanes(connection, 'bench');
  const drop = benchDrop(newMerchantId());
  const ref = { drop: drop.id, lane: 0 };
  await lanes.publish(drop, 0, true);
  let held = 0;

  /** Resolves with the seconds that `total` more orders took. */
  async function add(total: number, by: number): Promise<number> {
    const send = async (from: number, size: number) => {
      const answers = await lanes.reserve(ref, benchReservations(drop, from, size));
      if (answers.some(({ status }) => status !== 'reserved')) throw new Error('not reserved');
    };
    const seconds = await runInFlight({ total, batch: by, inFlight }, send, held);
    held += total;
    return seconds;
  }

  return {
    async fill(size: number): Promise<void> {
      while (held < size) {
        await add(Math.min(size - held, sizes.middle), fillBatch);
        await connection.xtrim(laneKey('bench', ref, 'outbox'), 'MAXLEN', 0);
      }
      await redis.untilQuiet();
    },
    /** As many orders again as it holds. */
    async double(): Promise<Cost> {
      const total = held;
      const before = await redis.cpuMicros();
      const seconds = await add(total, batch);
      await redis.untilQuiet();
      const cpu = ((await redis.cpuMicros()) - before) / total;
      return { wall: (seconds * 1e6) / total, cpu };
    },
    close: () => connection.disconnect(),
  };
}
