import { newMerchantId } from '../../../src/domain/ids.ts';
import { laneKey } from '../../../src/inventory/keys.ts';
import { callBuyersMax, openLanes } from '../../../src/inventory/lanes.ts';
import { runInFlight } from '../load/in-flight.ts';
import { benchBuyer, benchDrop, benchReservations } from '../support/drop.ts';
import { type Figure, median } from '../support/figures.ts';
import type { BenchRedis } from '../support/redis.ts';

const batch = 32;
const inFlight = 2;
const orders = 48_000;
const memoryOrders = 100_000;
const memoryAppointments = 1_300_000;

/**
 * Orders a second through one lane against INCR through the same client, same server, same batch
 * size and calls in flight, one after the other in each round.
 */
export async function measureReserve(redis: BenchRedis, rounds: number): Promise<Figure[]> {
  const connection = redis.connect();
  const lanes = openLanes(connection, 'bench');
  const reserveRates: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const drop = benchDrop(newMerchantId());
    const ref = { drop: drop.id, lane: 0 };
    await lanes.publish(drop, 0, true);
    const incrSeconds = await runInFlight({ total: 4 * orders, batch, inFlight }, async () => {
      const pipeline = connection.pipeline();
      for (let n = 0; n < batch; n += 1) pipeline.incr('bench:counter');
      await pipeline.exec();
    });
    const seconds = await runInFlight({ total: orders, batch, inFlight }, async (from) => {
      const answers = await lanes.reserve(ref, benchReservations(drop, from, batch));
      if (answers.some(({ status }) => status !== 'reserved')) throw new Error('not reserved');
    });
    // The first round warms both ends up and does not count.
    if (round > 0) {
      reserveRates.push(orders / seconds);
      ratios.push(orders / seconds / ((4 * orders) / incrSeconds));
    }
    await connection.flushall();
  }
  connection.disconnect();
  return [
    {
      name: 'reserve_orders_per_second',
      value: median(reserveRates),
      unit: 'orders/s',
      how: `one lane, batches of ${batch}, ${inFlight} in flight, appendfsync always`,
    },
    {
      name: 'reserve_incr_ratio',
      value: median(ratios),
      unit: 'x',
      min: 0.25,
      how: `the same ÷ INCR in pipelines of ${batch}, ${inFlight} in flight, same server`,
    },
  ];
}

/** Memory of a live order: its record, its buyer's units and its hold; the outbox once relayed. */
export async function measureMemory(redis: BenchRedis): Promise<Figure> {
  const connection = redis.connect();
  const lanes = openLanes(connection, 'bench');
  const drop = benchDrop(newMerchantId());
  const ref = { drop: drop.id, lane: 0 };
  await lanes.publish(drop, 0, true);
  const before = await redis.usedBytes();
  await runInFlight({ total: memoryOrders, batch, inFlight }, (from) =>
    lanes.reserve(ref, benchReservations(drop, from, batch)),
  );
  await connection.xtrim(laneKey('bench', ref, 'outbox'), 'MAXLEN', 0);
  const bytes = (await redis.usedBytes()) - before;
  await connection.flushall();
  connection.disconnect();
  return {
    name: 'redis_bytes_per_order',
    value: bytes / memoryOrders,
    unit: 'bytes',
    max: 400,
    how: `used_memory of ${memoryOrders} reserved orders of distinct buyers, outbox relayed`,
  };
}

/** Memory of an appointment, for as many as the sale of 2012 had. */
export async function measureAppointments(redis: BenchRedis): Promise<Figure> {
  const connection = redis.connect();
  const lanes = openLanes(connection, 'bench');
  const drop = benchDrop(newMerchantId());
  const ref = { drop: drop.id, lane: 0 };
  await lanes.publish(drop, 0, true);
  const before = await redis.usedBytes();
  for (let from = 0; from < memoryAppointments; from += callBuyersMax) {
    const buyers = Array.from({ length: callBuyersMax }, (_, n) => benchBuyer(from + n));
    await lanes.appoint(ref, buyers);
  }
  const bytes = (await redis.usedBytes()) - before;
  await connection.flushall();
  connection.disconnect();
  return {
    name: 'redis_bytes_per_appointment',
    value: bytes / memoryAppointments,
    unit: 'bytes',
    how: `used_memory of ${memoryAppointments} appointments in one lane`,
  };
}
