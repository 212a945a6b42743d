import type { Redis } from 'ioredis';
import { systemClock } from '../domain/clock.ts';
import type { LaneRef } from '../domain/ids.ts';
import type { Watch } from '../drops/active-drops.ts';
import type { Terms } from '../drops/drop-terms.ts';
import { isBehind } from '../drops/lost-lanes.ts';
import type { Publishing } from '../drops/publishing.ts';
import { openSweeper } from '../inventory/hold-sweeper.ts';
import { connectQueue, endQueue } from '../inventory/redis-connections.ts';
import type { Reconcile } from '../reconciliation/reconciliation.ts';
import { openSchedule } from '../reconciliation/schedule.ts';
import { watchReconciliation, watchWork } from './metrics/work-metrics.ts';
import { openSettleQueue } from './queue/settle-queue.ts';
import { openSettleWorker } from './queue/settle-worker.ts';
import { openLooks } from './recovery/payment-polling.ts';
import { openRedrive } from './recovery/redrive.ts';
import { openRelay } from './relay/relay.ts';
import type { Refunds } from './settle/refunds.ts';
import type { Settle } from './settle/settle.ts';
import type { SettlementOptions } from './settlement.ts';

const drainMsMax = 8_000;

export type SettlementWork = ReturnType<typeof openSettlementWork>;

/** What works behind the sale: relay, settling, the sweepers of holds and of what was left lying. */
export function openSettlementWork(
  options: SettlementOptions,
  shared: {
    publishing: Publishing;
    refunds: Refunds;
    settle: Settle;
    settleTopUps(ids: readonly string[]): Promise<void>;
    watch: Watch;
    termsOf(drop: string): Promise<Terms | undefined>;
    reconcile: Reconcile;
  },
) {
  const { redisUrl, redis, namespace, lanes, ledger, providers, log, onStep } = options;
  const { publishing, refunds, settle, settleTopUps, termsOf, watch, reconcile } = shared;
  const { claimIdleMs, redriveEveryMs, redriveStaleMs, looksEveryMs, ...rest } =
    options.patience ?? {};
  const { lookFirstMs: _, differenceGraceMs: __, ...locks } = rest;
  const { drops, orders, payments, reconciliations } = ledger;
  const steps = onStep ? { onStep } : {};
  const counts = watchWork(options.metrics);
  const queueRedis = connectQueue(redisUrl);
  queueRedis.on('error', (error) => log.warn({ err: error }, 'the connection of the queue'));
  const queue = openSettleQueue({ redis: queueRedis, namespace });
  /** A lane whose outbox ends before what the ledger has read of it must not go on selling. */
  async function checkLane(ref: LaneRef): Promise<void> {
    const places = await orders.positions(ref.drop);
    const last = places.find((place) => place.lane === ref.lane)?.last;
    if (!isBehind(await lanes.inspect(ref), last)) return;
    counts.onLost();
    log.error({ ...ref, last }, 'a lane has lost what it once told: its drop stops selling');
    await publishing.freeze(ref.drop);
  }

  const relay = openRelay({
    ...{ redisUrl, namespace, watch, orders, queue, log, onJoin: checkLane },
    ...{ onCount: counts.onRelay, ...steps },
    ...(claimIdleMs === undefined ? {} : { claimIdleMs }),
  });
  const worker = openSettleWorker({
    ...{ redis: queueRedis, namespace, settle, log, onCount: counts.onWorker, ...locks },
    addApart: queue.addApart,
  });
  const sweeper = openSweeper({
    lanes,
    active: () => [...watch.lanes()],
    onError: (error) => log.warn({ err: error }, 'holds cannot be swept'),
  });
  const redrive = openRedrive({
    ...{ lanes, drops, orders, payments, providers, queue, settle, refunds, publishing, watch },
    ...{ termsOf, redisNow: () => redisTime(redis), clock: options.clock ?? systemClock },
    ...{ log, onCount: counts.onRedrive },
    ...(redriveEveryMs === undefined ? {} : { everyMs: redriveEveryMs }),
    ...(redriveStaleMs === undefined ? {} : { staleMs: redriveStaleMs }),
  });
  const looks = openLooks({
    ...{ payments, settle, settleTopUps, redisNow: () => redisTime(redis), log },
    ...(looksEveryMs === undefined ? {} : { everyMs: looksEveryMs }),
  });
  counts.read({ relay, queue });
  watchReconciliation(options.metrics, reconciliations);
  const { reconcileEveryMs } = options;
  const schedule =
    reconcileEveryMs === undefined
      ? undefined
      : openSchedule({
          ...{ reconcile, reconciliations, everyMs: reconcileEveryMs, log },
          onRun: counts.onReconcile,
        });

  return {
    ...{ relay, queue, worker, redrive, looks, schedule, settle },
    async start(): Promise<void> {
      await watch.start();
      relay.start();
      worker.start();
      sweeper.start();
      redrive.start();
      looks.start();
      schedule?.start();
    },
    async stop(): Promise<void> {
      const workerStopped = worker.stop();
      // Its commands wait for a Redis that is away as long as it takes; a stop does not.
      const letGo = () => endQueue(queueRedis);
      if (queueRedis.status !== 'ready') letGo();
      const late = setTimeout(letGo, drainMsMax);
      const beside = [redrive.stop(), looks.stop(), sweeper.stop(), schedule?.stop()];
      await Promise.all([...beside, workerStopped]);
      await relay.stop();
      await watch.stop();
      await queue.close();
      clearTimeout(late);
      letGo();
    },
  };
}

/** Redis' clock, ms since the epoch. */
export async function redisTime(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
}
