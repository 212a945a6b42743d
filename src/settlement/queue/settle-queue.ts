import { hash } from 'node:crypto';
import { Queue, UnrecoverableError } from 'bullmq';
import type { Redis } from 'ioredis';
import { isOrderId, type OrderId } from '../../domain/ids.ts';
import { openBackOff } from '../../scheduling/backoff.ts';

export const queueName = 'settle';

/** BullMQ's keys share one slot, and the namespace keeps engines on one server apart. */
export function queuePrefix(namespace: string): string {
  return `{${namespace}}`;
}

export type SettleJob = { orders: readonly OrderId[] };

export type SettleQueue = {
  /**
   * Asks for orders to be settled, `jobOrdersMax` in a job. The same ones asked for again while their
   * job is queued stay as they are; an order that comes to be in two jobs is settled once all the same.
   */
  add(orders: readonly OrderId[]): Promise<void>;
  /** Asks for each of these in a job of its own, a moment later: it must not hold up its neighbours. */
  addApart(orders: readonly OrderId[]): Promise<void>;
  /** When the job was added that waits for longest, ms since the epoch; undefined when none waits. */
  waitingSince(): Promise<number | undefined>;
  /** Jobs by BullMQ's states, for metrics. */
  counts(): Promise<{ waiting: number; active: number; delayed: number; failed: number }>;
  close(): Promise<void>;
};

/**
 * What the queue itself costs an order, 0.1 ms and more in two processes, is shared by those in a
 * job; a worker that dies leaves no more than these to its lock's end.
 */
export const jobOrdersMax = 32;

/** Together with retryDelayMs: more than a day of tries before a job is left to the sweeper. */
const attemptsMax = 3_000;
const failedKept = 1_000;
const addMax = 500;

/** The pause before a job is tried again, ms. */
export const retryDelayMs = openBackOff({ firstMs: 250, mostMs: 30_000 });

/** The orders a job is about. A payload that is none of ours can never succeed: it fails for good. */
export function readJob(data: unknown): OrderId[] {
  const orders: unknown = (data as Partial<SettleJob> | null)?.orders;
  const known = Array.isArray(orders) && orders.length > 0 && orders.length <= jobOrdersMax;
  if (!known || !orders.every((order) => typeof order === 'string' && isOrderId(order))) {
    throw new UnrecoverableError('the payload names no orders');
  }
  return orders;
}

/**
 * The queue of orders whose payment is to be settled. A job's id follows from its orders, so that it
 * is queued once; of one order it is the order's. The connection is the caller's, from `connectQueue`.
 */
export function openSettleQueue(options: { redis: Redis; namespace: string }): SettleQueue {
  const queue = new Queue<SettleJob>(queueName, {
    connection: options.redis,
    prefix: queuePrefix(options.namespace),
    defaultJobOptions: {
      attempts: attemptsMax,
      backoff: { type: 'custom' },
      removeOnComplete: true,
      // Bounded, and kept: a job that failed for good is there to be looked at.
      removeOnFail: { count: failedKept },
    },
    streams: { events: { maxLen: 1_000 } },
  });
  // Errors also reject the call they belong to; without a listener they would end the process.
  queue.on('error', () => {});

  return {
    async add(orders) {
      const jobs: JobWish[] = [];
      for (let at = 0; at < orders.length; at += jobOrdersMax) {
        jobs.push(jobOf(orders.slice(at, at + jobOrdersMax)));
      }
      for (let at = 0; at < jobs.length; at += addMax) {
        await queue.addBulk(jobs.slice(at, at + addMax));
      }
    },
    async addApart(orders) {
      if (orders.length === 0) return;
      await queue.addBulk(
        orders.map((order) => {
          const job = jobOf([order]);
          return { ...job, opts: { ...job.opts, delay: retryDelayMs(1) } };
        }),
      );
    },
    async waitingSince() {
      const [oldest] = await queue.getWaiting(0, 0);
      return oldest?.timestamp;
    },
    async counts() {
      const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'failed');
      const { wait = 0, active = 0, delayed = 0, failed = 0 } = counts;
      return { waiting: wait, active, delayed, failed };
    },
    close: () => queue.close(),
  };
}

type JobWish = { name: string; data: SettleJob; opts: { jobId: string } };

function jobOf(orders: readonly OrderId[]): JobWish {
  const [first = ''] = orders;
  const jobId = orders.length === 1 ? first : `many_${hash('sha256', orders.join(), 'base64url')}`;
  return { name: queueName, data: { orders }, opts: { jobId } };
}
