import { UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { openBatcher } from '../../batching/batcher.ts';
import type { OrderId } from '../../domain/ids.ts';
import type { Log } from '../../log.ts';
import { withDeadline } from '../../scheduling/deadline.ts';
import { type OnCount, openCounters } from '../metrics/counters.ts';
import type { Settled } from '../settle/batch.ts';
import type { Settle } from '../settle/settle.ts';
import { queueName, queuePrefix } from './queue-name.ts';
import { jobOrdersMax, readJob, retryDelayMs, type SettleQueue } from './settle-queue.ts';

export type SettleWorker = {
  start(): void;
  /** Takes no further jobs; resolves when the running ones are done, after 8 seconds at most. */
  stop(): Promise<void>;
  counts(): Record<WorkerCount, number>;
};

/** Orders by the result of settling, and jobs by their failure. */
export const workerCounts = [
  ...(['paid', 'released', 'refunded', 'lapsed', 'waiting', 'later', 'lost'] as const),
  /** Never retried, jobs of `lost` orders included. */
  'poison',
  'failed',
  /** Taken over from a worker that died or stopped renewing its lock. */
  'stalled',
] as const;
export type WorkerCount = (typeof workerCounts)[number];

/** BullMQ fails a job only after this many workers have died while running it. */
const stallsMax = 1_000_000;
const jobsInHandMax = 32;
const batchMax = 256;
const inFlightMax = 2;
const drainMsMax = 8_000;

export type WorkerOptions = {
  redis: Redis;
  namespace: string;
  settle: Settle;
  /** Gets those orders of a job that did not end with the others. */
  addApart: SettleQueue['addApart'];
  log: Log;
  /** Both in ms. A worker that died is noticed after at most their sum. */
  lockDurationMs?: number | undefined;
  stalledIntervalMs?: number | undefined;
  onCount?: OnCount<WorkerCount>;
};

/**
 * Takes jobs from BullMQ and settles in one batch the orders that arrived while the previous batch was
 * running. The caller opens and closes the connection (`connectQueue`).
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

  /**
   * Settles the orders of a job. Of several orders, those that do not end get jobs of their own.
   * @throws Error for a job of one order that does not end yet: BullMQ retries it
   * @throws UnrecoverableError for a job of one order that its lane does not have
   */
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
    log.error(
      { job: job?.id, reason: error.message },
      'settlement job can never succeed: it is not retried',
    );
  });
  worker.on('stalled', () => counters.add('stalled'));
  worker.on('error', (error) => log.warn({ err: error }, 'settlement worker failed'));

  let run: Promise<void> | undefined;
  return {
    start() {
      run ??= worker.run();
    },
    async stop() {
      // Without Redis no job can be finished, and BullMQ would wait for it for ever. The next worker
      // finds the unfinished jobs stalled, as after a crash.
      const away = options.redis.status !== 'ready';
      const closed = worker.close(away).then(() => (away ? undefined : run));
      await withDeadline(closed, drainMsMax);
    },
    counts: counters.read,
  };
}
