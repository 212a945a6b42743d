import type { Redis } from 'ioredis';
import type { Spent } from './rate-limiter.ts';

/** What callers have spent, added up over the processes of an engine. */
export type SharedUsage = {
  /** Adds to what each name has spent in a window; resolves with the totals, in the same order. */
  add(
    window: { budget: string; index: number; windowMs: number },
    spent: readonly Spent[],
  ): Promise<number[]>;
};

/** Keeps the sums in Redis: one hash for each budget and window, which goes when the window is over. */
export function openSharedUsage(redis: Redis, namespace: string): SharedUsage {
  return {
    async add({ budget, index, windowMs }, spent) {
      const key = `${namespace}:spent:${budget}:${index}`;
      const pipeline = redis.pipeline();
      for (const { name, by } of spent) pipeline.hincrby(key, name, by);
      pipeline.pexpire(key, 2 * windowMs);
      const results = (await pipeline.exec()) ?? [];
      return spent.map((_, n) => {
        const [error, total] = results[n] ?? [new Error('no reply')];
        if (error) throw error;
        return Number(total);
      });
    },
  };
}
