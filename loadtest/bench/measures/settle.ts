import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { pino } from 'pino';
import type { Drop } from '../../../src/domain/drop.ts';
import type { LaneRef } from '../../../src/domain/ids.ts';
import { openServices } from '../../../src/engine/services.ts';
import { type Lanes, openLanes } from '../../../src/inventory/lanes.ts';
import { connectHot, connectQueue } from '../../../src/inventory/redis-connections.ts';
import { type Ledger, openLedger } from '../../../src/ledger/ledger.ts';
import { openMetrics } from '../../../src/metrics.ts';
import { openWallet } from '../../../src/payments/wallet/wallet.ts';
import { benchDrop, benchReservations } from '../support/drop.ts';
import { type Figure, median } from '../support/figures.ts';
import type { BenchRedis } from '../support/redis.ts';

const orders = 8_000;
const batch = 250;
const concurrency = 256;
const waitMsMax = 120_000;

/**
 * Orders settled a second, from a full outbox to `paid` in the ledger, against the jobs a second of
 * a BullMQ worker that does nothing. Both in this process, one after the other in each round.
 */
export async function measureSettle(redis: BenchRedis, rounds: number): Promise<Figure[]> {
  const rates: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const empty = await emptyWorkerRate(redis, `{empty${round}}`);
    const settled = await settledRate(redis, `settle${round}`);
    if (round > 0) {
      rates.push(settled);
      ratios.push(settled / empty);
    }
  }
  const how = `${orders} reserved orders to paid, PGlite in a folder, one process`;
  return [
    { name: 'settle_orders_per_second', value: median(rates), unit: 'orders/s', how },
    {
      name: 'settle_ratio',
      value: median(ratios),
      unit: 'x',
      min: 0.33,
      how: `the same ÷ jobs/s of an empty BullMQ worker, concurrency ${concurrency}`,
    },
  ];
}

async function emptyWorkerRate(redis: BenchRedis, prefix: string): Promise<number> {
  const connection = connectQueue(redis.url);
  const queue = new Queue('empty', { connection, prefix });
  for (let from = 0; from < orders; from += batch) {
    await queue.addBulk(
      Array.from({ length: batch }, (_, n) => ({
        name: 'empty',
        data: { order: `order-${from + n}` },
        opts: { jobId: `order-${from + n}`, removeOnComplete: true },
      })),
    );
  }
  const started = performance.now();
  let done = 0;
  const all = Promise.withResolvers<void>();
  const worker = new Worker(
    'empty',
    async () => {
      done += 1;
      if (done === orders) all.resolve();
    },
    { connection, prefix, concurrency },
  );
  await all.promise;
  const rate = orders / ((performance.now() - started) / 1000);
  await worker.close();
  await queue.close();
  connection.disconnect();
  return rate;
}

async function settledRate(redis: BenchRedis, namespace: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-bench-ledger-'));
  const hot = connectHot(redis.url, { timeoutMs: 10_000 });
  await new Promise((resolve) => hot.once('ready', resolve));
  const ledger = await openLedger({ folder });
  const lanes = openLanes(hot, namespace);
  const wallet = openWallet({ database: ledger.database, accounts: ledger.accounts });
  const settlement = openServices({
    redisUrl: redis.url,
    redis: hot,
    namespace,
    lanes,
    ledger,
    providers: new Map([[wallet.name, wallet]]),
    log: pino({ level: 'silent' }),
    metrics: openMetrics(),
  });
  try {
    const drop = await sellOut({ ledger, lanes, publish: settlement.publishing.act });
    const started = performance.now();
    await settlement.start();
    // Reading the lane costs the ledger nothing; only the end is read from the ledger.
    const ref = { drop: drop.id, lane: 0 };
    const isOver = async () =>
      (await heldUnits(lanes, ref)) === 0 && (await paidOrders(ledger, drop)) === orders;
    while (!(await isOver())) {
      if (performance.now() - started > waitMsMax) throw new Error('settling takes too long');
      await wait(20);
    }
    return orders / ((performance.now() - started) / 1000);
  } finally {
    await settlement.stop();
    await ledger.close();
    hot.disconnect();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A drop with `orders` reserved orders of buyers who have the money, and nothing settled yet. */
async function sellOut(parts: {
  ledger: Ledger;
  lanes: Lanes;
  publish: ReturnType<typeof openServices>['publishing']['act'];
}): Promise<Drop> {
  const { ledger, lanes } = parts;
  const { merchant } = await ledger.merchants.create({ name: 'Bench' });
  const drop: Drop = { ...benchDrop(merchant.id), version: 0, decision: 'draft' };
  await ledger.drops.create(drop);
  await parts.publish({ merchantId: merchant.id, drop: drop.id, action: 'publish' });
  for (let from = 0; from < orders; from += batch) {
    const reservations = benchReservations(drop, from, batch);
    await ledger.accounts.topUpAll(
      reservations.map(({ buyer }) => ({
        buyer,
        currency: drop.currency,
        amount: 1_000_000,
        reference: `bench:${buyer}`,
      })),
    );
    await lanes.reserve({ drop: drop.id, lane: 0 }, reservations);
  }
  return drop;
}

async function heldUnits(lanes: Lanes, ref: LaneRef): Promise<number> {
  const inspected = await lanes.inspect(ref);
  return inspected.status === 'done' ? (inspected.items[0]?.held ?? 0) : orders;
}

async function paidOrders(ledger: Ledger, drop: Drop): Promise<number> {
  const [row] = await ledger.database.query<{ paid: number }>(
    "select count(*)::int as paid from orders where drop_id = $1 and state = 'paid'",
    [drop.id],
  );
  return row?.paid ?? 0;
}
