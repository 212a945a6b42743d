import { setTimeout as wait } from 'node:timers/promises';
import { QueueFull } from './batcher.ts';
import { openFairQueue } from './fair-queue.ts';

type Waiting<In, Out> = { item: In; settle(result: PromiseSettledResult<Out>): void };

export type PacedBatcher<In, Out> = {
  /**
   * Resolves with the item's result. Sources, such as networks, are served in turn; those that name
   * none are one.
   * @throws QueueFull when too many items wait and this one made room, or the error of the item
   */
  add(item: In, source?: string): Promise<Out>;
};

/**
 * Look-ups of names that anybody can make up, such as the ids of drops: one batch at a time, and
 * `pauseMs` from the start of one to the start of the next. So the stores have a bounded share of work
 * from made-up names, however many there are. The first look-up after a pause does not wait.
 * An error of one item is that item's alone.
 */
export function openPacedBatcher<In, Out>(options: {
  /** Resolves with a result for each item, or rejects for all of them. */
  run(batch: In[]): Promise<PromiseSettledResult<Out>[]>;
  batchMax: number;
  queueMax: number;
  pauseMs: number;
}): PacedBatcher<In, Out> {
  const { run, batchMax, queueMax, pauseMs } = options;
  const queue = openFairQueue<Waiting<In, Out>>(queueMax);
  let startedAt = Number.NEGATIVE_INFINITY;
  let isRunning = false;

  async function runAll(): Promise<void> {
    while (queue.size() > 0) {
      const restMs = startedAt + pauseMs - performance.now();
      if (restMs > 0) await wait(restMs);
      startedAt = performance.now();
      // Taken after the pause: what came meanwhile has its turn too.
      await runBatch(queue.take(batchMax));
    }
    isRunning = false;
  }

  async function runBatch(batch: Waiting<In, Out>[]): Promise<void> {
    try {
      const results = await run(batch.map(({ item }) => item));
      const missing = new Error(`bug: ${batch.length} items, ${results.length} results`);
      for (const [n, { settle }] of batch.entries()) {
        settle(results[n] ?? { status: 'rejected', reason: missing });
      }
    } catch (reason) {
      for (const { settle } of batch) settle({ status: 'rejected', reason });
    }
  }

  return {
    add(item, source = '') {
      return new Promise((resolve, reject) => {
        const settle = (result: PromiseSettledResult<Out>) => {
          if (result.status === 'fulfilled') resolve(result.value);
          else reject(result.reason);
        };
        const dropped = queue.add({ item, settle }, source);
        dropped?.settle({ status: 'rejected', reason: new QueueFull() });
        if (isRunning) return;
        isRunning = true;
        // At the end of this turn of the event loop, whose items are one batch.
        setImmediate(runAll);
      });
    },
  };
}

/** Bounds for look-ups of made-up names: at most 2,560 a second, in 40 batches. */
export const lookUpLimits = { batchMax: 64, queueMax: 1_000, pauseMs: 25 };
