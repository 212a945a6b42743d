import { Queue, UnrecoverableError } from 'bullmq';
import type { Redis } from 'ioredis';
import { parseOrderId } from '../domain/ids.ts';

export const queueName = 'settle';

/** BullMQ's keys share one slot, and the namespace keeps engines on one server apart. */
export function queuePrefix(namespace: string): string {
  return `{${namespace}}`;
}

export type SettleJob = { order: string };

export type SettleQueue = {
  /** Asks for orders to be settled. An order that is queued already stays as it is. */
  add(orders: readonly string[]): Promise<void>;
  /** Jobs by BullMQ's states, for metrics and the audit. */
  counts(): Promise<{ waiting: number; active: number; delayed: number; failed: number }>;
  close(): Promise<void>;
};

/** Together with retryDelayMs: more than a day of tries before a job is left to the sweeper. */
const attemptsMax = 3_000;
const retryFirstMs = 250;
const retryMostMs = 30_000;
const failedKept = 1_000;
const addMax = 500;

/** Grows from a quarter of a second to half a minute, spread so that retries do not march in step. */
export function retryDelayMs(attemptsMade: number): number {
  const most = Math.min(retryMostMs, retryFirstMs * 2 ** Math.min(attemptsMade - 1, 20));
  return Math.round(most * (0.5 + Math.random() / 2));
}

/** The order a job is about. A payload that is none of ours can never succeed: it fails for good. */
export function readJob(data: unknown): string {
  const order = (data as Partial<SettleJob> | null)?.order;
  if (typeof order !== 'string' || !parseOrderId(order)) {
    throw new UnrecoverableError('the payload names no order');
  }
  return order;
}

/**
 * The queue of orders whose payment is to be settled, one job per order and the order's id as the
 * job's. The connection is the caller's, from `connectQueue`.
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
      for (let at = 0; at < orders.length; at += addMax) {
        await queue.addBulk(
          orders.slice(at, at + addMax).map((order) => ({
            name: queueName,
            data: { order },
            opts: { jobId: order },
          })),
        );
      }
    },
    async counts() {
      const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'failed');
      const { wait = 0, active = 0, delayed = 0, failed = 0 } = counts;
      return { waiting: wait, active, delayed, failed };
    },
    close: () => queue.close(),
  };
}
