import { UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { openBatcher } from '../../batching/batcher.ts';
import type { OrderId } from '../../domain/ids.ts';
import type { Log } from '../../log.ts';
import { withDeadline } from '../../scheduling/deadline.ts';
import { type OnCount, openCounters } from '../metrics/counters.ts';
import type { Settled } from '../settle/batch.ts';
import type { Settle } from '../settle/settle.ts';
import {
  jobOrdersMax,
  queueName,
  queuePrefix,
  readJob,
  retryDelayMs,
  type SettleQueue,
} from './settle-queue.ts';

export type SettleWorker = {
  start(): void;
  /** Takes no further jobs and resolves when those in hand are done, or left after a while. */
  stop(): Promise<void>;
  figures(): Record<WorkerCount, number>;
};

/** Orders by what settling came to, and jobs by what went wrong with them. */
export const workerCounts = [
  ...(['paid', 'released', 'refunded', 'lapsed', 'waiting', 'later', 'lost'] as const),
  /** Set aside for good, `lost` among them. */
  'poison',
  'failed',
  /** Taken from a worker that died or stood still. */
  'stalled',
] as const;
export type WorkerCount = (typeof workerCounts)[number];

/** A job is given up by the queue only after so many workers died with it in hand. */
const stallsMax = 1_000_000;
const jobsInHandMax = 32;
const batchMax = 256;
const inFlightMax = 2;
const drainMsMax = 8_000;

export type WorkerOptions = {
  redis: Redis;
  namespace: string;
  settle: Settle;
  /** Takes the orders of a job that cannot end with the others. */
  addApart: SettleQueue['addApart'];
  log: Log;
  /** A worker that died is noticed after at most both of these together. */
  lockDurationMs?: number | undefined;
  stalledIntervalMs?: number | undefined;
  onCount?: OnCount<WorkerCount>;
};

/**
 * Takes jobs as BullMQ gives them, and settles together the orders that came in while the batch
 * before was on its way. The connection is the caller's, from `connectQueue`.
 */
export function openSettleWorker(options: WorkerOptions): SettleWorker {
  const { settle, addApart, log } = options;
  const counters = openCounters(workerCounts, options.onCount);
  const batches = openBatcher<OrderId, Settled>({
    run: settle,
    batchMax,
    inFlightMax,
    queueMax: jobsInHandMax * jobOrdersMax,
  });

  /** Settles a job of one order or tells BullMQ why not; of many, those that do not end go apart. */
  async function work(orders: readonly OrderId[]): Promise<void> {
    const all = await Promise.all(orders.map(batches.add));
    for (const { kind } of all) counters.add(kind);
    const apart = orders.filter((_, n) => all[n]?.kind === 'later' || all[n]?.kind === 'lost');
    if (orders.length > 1) return await addApart(apart);
    const [one] = all;
    if (one?.kind === 'later') throw new Error(one.why);
    if (one?.kind === 'lost') throw new UnrecoverableError('the lane knows no such order');
  }

  const worker = new Worker(queueName, (job) => work(readJob(job.data)), {
    connection: options.redis,
    prefix: queuePrefix(options.namespace),
    autorun: false,
    concurrency: jobsInHandMax,
    lockDuration: options.lockDurationMs ?? 10_000,
    stalledInterval: options.stalledIntervalMs ?? 5_000,
    maxStalledCount: stallsMax,
    settings: { backoffStrategy: retryDelayMs },
  });
  worker.on('failed', (job, error) => {
    counters.add('failed');
    if (!(error instanceof UnrecoverableError)) return;
    counters.add('poison');
    log.error({ job: job?.id, reason: error.message }, 'a job can never succeed and is set aside');
  });
  worker.on('stalled', () => counters.add('stalled'));
  worker.on('error', (error) => log.warn({ err: error }, 'the settlement worker'));

  let run: Promise<void> | undefined;
  return {
    start() {
      run ??= worker.run();
    },
    async stop() {
      // Without Redis no job can be finished, and BullMQ would wait for it for ever. What is left
      // is found stalled by the next worker, as after a crash.
      const away = options.redis.status !== 'ready';
      const closed = worker.close(away).then(() => (away ? undefined : run));
      await withDeadline(closed, drainMsMax);
    },
    figures: counters.read,
  };
}
