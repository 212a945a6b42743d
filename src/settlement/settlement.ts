import type { Redis } from 'ioredis';
import { type Clock, systemClock } from '../domain/clock.ts';
import { connectQueue } from '../inventory/connection.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { PaymentProvider } from '../payments/provider.ts';
import { openCharging } from './charging.ts';
import type { Log } from './log.ts';
import { openPublishing } from './publishing.ts';
import { openSettleQueue } from './queue.ts';
import { openRefunds } from './refunds.ts';
import { openRelay } from './relay.ts';
import { openSettle } from './settle.ts';
import type { OnStep } from './steps.ts';
import { openTerms } from './terms.ts';
import { openWatch } from './watch.ts';
import { openSettleWorker } from './worker.ts';

export type SettlementOptions = {
  redisUrl: string;
  /** The hot connection that the lanes use. */
  redis: Redis;
  namespace: string;
  lanes: Lanes;
  ledger: Ledger;
  providers: ReadonlyMap<string, PaymentProvider>;
  log: Log;
  clock?: Clock;
  onStep?: OnStep;
};

export type Settlement = ReturnType<typeof openSettlement>;

/** Puts the parts of settlement together. What the api role uses works without `start`. */
export function openSettlement(options: SettlementOptions) {
  const { redisUrl, redis, namespace, lanes, ledger, providers, log } = options;
  const { clock = systemClock, onStep } = options;
  const steps = onStep ? { onStep } : {};
  const queueRedis = connectQueue(redisUrl);
  const queue = openSettleQueue({ redis: queueRedis, namespace });
  const watch = openWatch({ drops: ledger.drops, log });
  const publishing = openPublishing({
    ledgerDrops: ledger.drops,
    orders: ledger.orders,
    lanes,
    clock,
    log,
    onPublished: watch.wake,
  });
  const termsOf = openTerms({ lanes, drops: ledger.drops });
  const refunds = openRefunds({ lanes, payments: ledger.payments, providers, log, ...steps });
  const settle = openSettle({
    lanes,
    payments: ledger.payments,
    charging: openCharging({ providers, log }),
    refunds,
    termsOf,
    redisNow: () => timeOf(redis),
    log,
    ...steps,
  });
  const relay = openRelay({
    redisUrl,
    namespace,
    watch,
    orders: ledger.orders,
    queue,
    log,
    ...steps,
  });
  const worker = openSettleWorker({ redis: queueRedis, namespace, settle, log });

  return {
    publishing,
    watch,
    relay,
    queue,
    worker,
    settle,
    async start() {
      await watch.start();
      relay.start();
      worker.start();
    },
    async stop() {
      await worker.stop();
      await relay.stop();
      await watch.stop();
    },
    async close() {
      await queue.close();
      queueRedis.disconnect();
    },
  };
}

async function timeOf(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
}
