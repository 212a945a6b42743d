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

/**
 * Answers every item of a batch, at most `concurrency` at a time: one whose answer throws is answered by
 * `unknown`, and keeps no other from its answer.
 * @throws the first error when no item had an answer: it is not the items that fail
 */
export async function answerEach<T, R>(
  items: readonly T[],
  concurrency: number,
  { answer, unknown }: { answer: (item: T) => Promise<R>; unknown: (item: T) => R },
): Promise<R[]> {
  const errors: unknown[] = [];
  const answers = await mapConcurrently(items, concurrency, async (item) => {
    try {
      return await answer(item);
    } catch (error) {
      errors.push(error);
      return unknown(item);
    }
  });
  if (errors.length > 0 && errors.length === items.length) throw errors[0];
  return answers;
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
