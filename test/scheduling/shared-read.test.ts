import { expect, test } from 'vitest';
import { openSharedRead } from '../../src/scheduling/shared-read.ts';

function countingRead(keptMs: number) {
  let now = 0;
  const reads: PromiseWithResolvers<number>[] = [];
  const shared = openSharedRead({
    keptMs,
    now: () => now,
    read() {
      const started = Promise.withResolvers<number>();
      reads.push(started);
      return started.promise;
    },
  });
  function pass(ms: number): void {
    now += ms;
  }
  return { shared, reads, pass };
}

test('However many callers ask while a read runs, and for a while after it, they share that one read', async () => {
  const { shared, reads, pass } = countingRead(100);
  const asked = Array.from({ length: 50 }, shared);
  pass(10_000);
  asked.push(shared());
  reads[0]?.resolve(1);
  expect(new Set(await Promise.all(asked))).toEqual(new Set([1]));
  pass(99);
  expect(await shared()).toBe(1);
  expect(reads).toHaveLength(1);
  pass(1);
  const next = shared();
  reads[1]?.resolve(2);
  expect(await next).toBe(2);
});

test('A read that failed is not kept: the next caller reads anew', async () => {
  const { shared, reads } = countingRead(100);
  const first = shared();
  reads[0]?.reject(new Error('down'));
  await expect(first).rejects.toThrow('down');
  const second = shared();
  reads[1]?.resolve(2);
  expect(await second).toBe(2);
});
