import type { Redis } from 'ioredis';
import type { Clock } from '../domain/clock.ts';
import type { DropId, LaneRef, TopUpId } from '../domain/ids.ts';
import type { ActiveDrops } from '../drops/active-drops.ts';
import type { DropTerms } from '../drops/drop-terms.ts';
import { isBehind } from '../drops/lost-lanes.ts';
import type { Publishing } from '../drops/publishing.ts';
import { openSweeper } from '../inventory/hold-sweeper.ts';
import type { Lanes } from '../inventory/lanes.ts';
import { connectQueue, endQueue } from '../inventory/redis-connections.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Providers } from '../payments/provider.ts';
import { openBackgroundMetrics } from './background-metrics.ts';
import { openSettleQueue } from './queue/settle-queue.ts';
import { openSettleWorker } from './queue/settle-worker.ts';
import { openPaymentPolling } from './recovery/payment-polling.ts';
import { openRedrive } from './recovery/redrive.ts';
import { openRecordChanges } from './relay/record-changes.ts';
import { openRelay } from './relay/relay.ts';
import type { Settlement } from './settlement.ts';
import type { OnStep } from './steps.ts';

/** How old unfinished work must be to be taken over, and how often it is searched for, in ms. */
export type BackgroundTimings = {
  claimIdleMs?: number | undefined;
  lockDurationMs?: number | undefined;
  stalledIntervalMs?: number | undefined;
  redriveEveryMs?: number | undefined;
  redriveStaleMs?: number | undefined;
  pollEveryMs?: number | undefined;
};

const drainMsMax = 8_000;

export type SettlementBackground = ReturnType<typeof openSettlementBackground>;

/**
 * The background work of the worker role: relay, settlement worker, hold sweeper, redrive, payment
 * polling.
 */
export function openSettlementBackground(options: {
  redisUrl: string;
  namespace: string;
  lanes: Lanes;
  ledger: Ledger;
  providers: Providers;
  settlement: Settlement;
  settleTopUps(ids: readonly TopUpId[]): Promise<void>;
  publishing: Publishing;
  activeDrops: ActiveDrops;
  termsOf(drop: DropId): Promise<DropTerms | undefined>;
  /** Redis' clock, ms since the epoch. */
  redisNow(): Promise<number>;
  clock: Clock;
  log: Log;
  metrics?: Metrics | undefined;
  timings: BackgroundTimings;
  onStep?: OnStep | undefined;
}) {
  const { redisUrl, namespace, lanes, ledger, providers, settlement, settleTopUps } = options;
  const { publishing, activeDrops, termsOf, redisNow, clock, log, timings, onStep } = options;
  const { drops, orders, parkedChanges, payments } = ledger;
  const { settle, refunds } = settlement;
  const counts = openBackgroundMetrics(options.metrics);
  const queueRedis: Redis = connectQueue(redisUrl);
  queueRedis.on('error', (error) =>
    log.warn({ err: error }, 'Redis connection of the queue failed'),
  );
  const queue = openSettleQueue({ redis: queueRedis, namespace });
  /** Stops the sale of a lane whose outbox ends before the last entry that the ledger has read. */
  async function checkLane(ref: LaneRef): Promise<void> {
    const places = await orders.positions(ref.drop);
    const last = places.find((place) => place.lane === ref.lane)?.last;
    if (!isBehind(await lanes.inspect(ref), last)) return;
    counts.onLost();
    log.error({ ...ref, last }, 'lane has lost data: its drop is frozen');
    await publishing.freeze(ref.drop);
  }

  const recordChanges = openRecordChanges({ orders, parkedChanges, lanes, log });
  const relay = openRelay({
    redisUrl,
    namespace,
    activeDrops,
    recordChanges,
    queue,
    log,
    onJoin: checkLane,
    onStep,
    onCount: counts.onRelay,
    claimIdleMs: timings.claimIdleMs,
  });
  const worker = openSettleWorker({
    redis: queueRedis,
    namespace,
    settle,
    log,
    addApart: queue.addApart,
    onCount: counts.onWorker,
    lockDurationMs: timings.lockDurationMs,
    stalledIntervalMs: timings.stalledIntervalMs,
  });
  const sweeper = openSweeper({
    lanes,
    active: () => [...activeDrops.lanes()],
    isAway: activeDrops.isLedgerAway,
    onError: (error) => log.warn({ err: error }, 'sweeping due holds failed'),
  });
  const redrive = openRedrive({
    lanes,
    drops,
    orders,
    payments,
    allowances: ledger.allowances,
    providers,
    queue,
    recordChanges,
    settle,
    refunds,
    publishing,
    activeDrops,
    termsOf,
    redisNow,
    clock,
    log,
    onCount: counts.onRedrive,
    everyMs: timings.redriveEveryMs,
    staleMs: timings.redriveStaleMs,
  });
  const polling = openPaymentPolling({
    payments,
    settle,
    settleTopUps,
    redisNow,
    log,
    everyMs: timings.pollEveryMs,
  });
  const gauges = counts.gauges({ relay, queue, parkedChanges });

  let isStopped = false;

  return {
    relay,
    queue,
    worker,
    redrive,
    polling,
    /** Resolves when all of it runs. While Redis or the ledger is down, each part keeps retrying. */
    async start(): Promise<void> {
      isStopped = false;
      await activeDrops.start();
      // Stopped while the ledger was still reading the list: nothing may begin after that.
      if (isStopped) return await activeDrops.stop();
      relay.start();
      worker.start();
      sweeper.start();
      redrive.start();
      polling.start();
      gauges.start();
    },
    /** Finishes running work, for at most `drainMsMax`; the next start continues with the rest. */
    async stop(): Promise<void> {
      isStopped = true;
      const workerStopped = worker.stop();
      // Commands of the queue wait without a limit for a Redis that is down; a stop must not.
      const disconnect = () => endQueue(queueRedis);
      if (queueRedis.status !== 'ready') disconnect();
      const late = setTimeout(disconnect, drainMsMax);
      await Promise.all([
        redrive.stop(),
        polling.stop(),
        sweeper.stop(),
        gauges.stop(),
        workerStopped,
      ]);
      await relay.stop();
      await activeDrops.stop();
      await queue.close();
      clearTimeout(late);
      disconnect();
    },
  };
}
