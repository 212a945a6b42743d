import { hash } from 'node:crypto';
import { Queue, UnrecoverableError } from 'bullmq';
import type { Redis } from 'ioredis';
import { isOrderId, type OrderId } from '../../domain/ids.ts';
import { openBackOff } from '../../scheduling/backoff.ts';
import { queueName, queuePrefix } from './queue-name.ts';

export type SettleJob = { orders: readonly OrderId[] };

export type SettleQueue = {
  /**
   * Adds orders to be settled, `jobOrdersMax` to a job. Adding the same orders again while their job
   * is queued changes nothing; an order that is in two jobs is still charged once.
   */
  add(orders: readonly OrderId[]): Promise<void>;
  /**
   * Adds each order in a job of its own with a delay, so that it does not hold up the others. A job of
   * the order that had failed for good is replaced.
   */
  addApart(orders: readonly OrderId[]): Promise<void>;
  /** When the oldest waiting job was added, ms since the epoch; undefined when none waits. */
  waitingSince(): Promise<number | undefined>;
  /** The number of jobs by BullMQ's states, for metrics. */
  counts(): Promise<{ waiting: number; active: number; delayed: number; failed: number }>;
  close(): Promise<void>;
};

/**
 * The orders of a job share the cost of the queue, which is 0.1 ms and more in each of two processes.
 * The bound also limits how many orders wait for the end of the lock after a worker has died.
 */
export const jobOrdersMax = 32;

/** Together with retryDelayMs: more than a day of tries before a job is left to the redrive. */
const attemptsMax = 3_000;
const failedKept = 1_000;
const addMax = 500;

/** The pause before a job is tried again, ms. */
export const retryDelayMs = openBackOff({ firstMs: 250, mostMs: 30_000 });

/**
 * Reads the orders of a job.
 * @throws UnrecoverableError for a payload that is not ours: it can never succeed, so BullMQ does not
 *   retry it
 */
export function readJob(data: unknown): OrderId[] {
  const orders: unknown = (data as Partial<SettleJob> | null)?.orders;
  const known = Array.isArray(orders) && orders.length > 0 && orders.length <= jobOrdersMax;
  if (!known || !orders.every((order) => typeof order === 'string' && isOrderId(order))) {
    throw new UnrecoverableError('the payload names no orders');
  }
  return orders;
}

/**
 * The queue of orders to settle. A job's id is derived from its orders, so that it is queued once; the
 * job of a single order has the order's id. The caller opens and closes the connection
 * (`connectQueue`).
 */
export function openSettleQueue(options: { redis: Redis; namespace: string }): SettleQueue {
  const queue = new Queue<SettleJob>(queueName, {
    connection: options.redis,
    prefix: queuePrefix(options.namespace),
    defaultJobOptions: {
      attempts: attemptsMax,
      backoff: { type: 'custom' },
      removeOnComplete: true,
      // A job that failed for good is kept for an operator to examine; their number is bounded.
      removeOnFail: { count: failedKept },
    },
    streams: { events: { maxLen: 1_000 } },
  });
  // Errors also reject the call that caused them; without a listener they would end the process.
  queue.on('error', () => {});

  /** BullMQ adds no job under the id of one that it keeps: jobs of these orders that failed go first. */
  async function forgetFailed(orders: readonly OrderId[]): Promise<void> {
    const failedAt = await options.redis.zmscore(queue.toKey('failed'), ...orders);
    const failed = orders.filter((_, index) => failedAt[index] != null);
    await Promise.all(failed.map((order) => queue.remove(order)));
  }

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
      await forgetFailed(orders);
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
