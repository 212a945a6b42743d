import { UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { gather } from '../domain/gather.ts';
import type { Log } from './log.ts';
import { queueName, queuePrefix, readJob, retryDelayMs } from './queue.ts';
import type { Settle, Settled } from './settle.ts';

export type SettleWorker = {
  start(): void;
  /** Takes no further jobs and resolves when those in hand are done. */
  stop(): Promise<void>;
  figures(): WorkerFigures;
};

/** Jobs since the start by what came of them. */
export type WorkerFigures = Record<Settled['kind'] | 'poison' | 'failed' | 'stalled', number>;

/** A job is given up by the queue only after so many workers died with it in hand. */
const stallsMax = 1_000_000;
const concurrencyMost = 256;
const flightsMax = 2;

export type WorkerOptions = {
  redis: Redis;
  namespace: string;
  settle: Settle;
  log: Log;
  concurrency?: number;
  /** A worker that died is noticed after at most both of these together. */
  lockDurationMs?: number;
  stalledIntervalMs?: number;
};

/**
 * Takes jobs one by one, as BullMQ gives them, and settles together what came in while the batch
 * before was on its way. The connection is the caller's, from `connectQueue`.
 */
export function openSettleWorker(options: WorkerOptions): SettleWorker {
  const { settle, log, concurrency = concurrencyMost } = options;
  const figures: WorkerFigures = {
    ...{ paid: 0, released: 0, refunded: 0, lapsed: 0, later: 0, lost: 0 },
    ...{ poison: 0, failed: 0, stalled: 0 },
  };
  const batches = gather<string, Settled>({
    run: settle,
    batchMax: concurrency,
    flightsMax,
    queueMax: 2 * concurrency,
  });

  const worker = new Worker(
    queueName,
    async (job) => {
      const settled = await batches.add(readJob(job.data));
      figures[settled.kind] += 1;
      if (settled.kind === 'later') throw new Error(settled.why);
      if (settled.kind === 'lost') throw new UnrecoverableError('the lane knows no such order');
    },
    {
      connection: options.redis,
      prefix: queuePrefix(options.namespace),
      autorun: false,
      concurrency,
      lockDuration: options.lockDurationMs ?? 10_000,
      stalledInterval: options.stalledIntervalMs ?? 5_000,
      maxStalledCount: stallsMax,
      settings: { backoffStrategy: retryDelayMs },
    },
  );
  worker.on('failed', (job, error) => {
    figures.failed += 1;
    if (!(error instanceof UnrecoverableError)) return;
    figures.poison += 1;
    log.error({ job: job?.id, reason: error.message }, 'a job can never succeed and is set aside');
  });
  worker.on('stalled', () => {
    figures.stalled += 1;
  });
  worker.on('error', (error) => log.warn({ err: error }, 'the settlement worker'));

  let run: Promise<void> | undefined;
  return {
    start() {
      run ??= worker.run();
    },
    async stop() {
      await worker.close();
      await run;
    },
    figures: () => ({ ...figures }),
  };
}
