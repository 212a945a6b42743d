import { setTimeout as wait } from 'node:timers/promises';
import { openBatcher } from './batcher.ts';

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
}): { add(item: In): Promise<Out> } {
  const { run, batchMax, queueMax, pauseMs } = options;
  let startedAt = Number.NEGATIVE_INFINITY;
  const batcher = openBatcher<In, PromiseSettledResult<Out>>({
    batchMax,
    queueMax,
    inFlightMax: 1,
    async run(batch) {
      const restMs = startedAt + pauseMs - performance.now();
      if (restMs > 0) await wait(restMs);
      startedAt = performance.now();
      return await run(batch);
    },
  });
  return {
    async add(item) {
      const result = await batcher.add(item);
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    },
  };
}

/** Bounds for look-ups of made-up names: at most 2,560 a second, in 40 batches. */
export const lookUpLimits = { batchMax: 64, queueMax: 1_000, pauseMs: 25 };
