/**
 * Calls `work` for every item, at most `concurrency` calls at a time.
 * @returns the results in the order of the items
 * @throws what the first failing call threw; calls under way go on, no further ones begin
 */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  concurrency: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const left = items.entries();
  let hasFailed = false;
  async function worker(): Promise<void> {
    for (const [index, item] of left) {
      if (hasFailed) return;
      try {
        results[index] = await work(item);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker));
  return results;
}

/** Runs at most `concurrency` pieces of work at a time; further ones wait, first come, first served. */
export function openConcurrencyLimit(concurrency: number) {
  const waiting: (() => void)[] = [];
  let free = concurrency;
  return async function limited<T>(work: () => Promise<T>): Promise<T> {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      // A finished piece passes its place on, so nobody who comes meanwhile overtakes the queue.
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}
