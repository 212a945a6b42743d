import { expect, test } from 'vitest';
import { inParts } from '../../src/batching/in-parts.ts';

const items = Array.from({ length: 64 }, (_, n) => n);

/** Does a part as a whole or not at all; the items in `bad` always fail. */
function worker(bad: readonly number[]) {
  const done = new Set<number>();
  let calls = 0;
  return {
    done,
    calls: () => calls,
    async work(part: readonly number[]) {
      calls += 1;
      if (part.some((item) => bad.includes(item))) throw new Error('refused');
      for (const item of part) done.add(item);
    },
  };
}

test('An item that always fails keeps no other item of its batch from being done', async () => {
  const { work, done, calls } = worker([0, 13, 63]);
  const failed = await inParts(items, work);
  expect(failed.map(({ item }) => item)).toEqual([0, 13, 63]);
  expect(done.size).toBe(61);
  expect(calls()).toBeLessThan(3 * 2 * 7);
});

test('A batch without a failure is one call, and an empty one is none', async () => {
  const { work, calls } = worker([]);
  expect(await inParts(items, work)).toEqual([]);
  expect(await inParts([], work)).toEqual([]);
  expect(calls()).toBe(1);
});

test('While everything fails, few calls are made and every item is told to have failed', async () => {
  const { work, calls } = worker(items);
  expect(await inParts(items, work, { failuresMax: 4 })).toHaveLength(64);
  expect(calls()).toBeLessThanOrEqual(8);
});

test('An error that is not about single items fails the whole call at once', async () => {
  const { work, calls } = worker([5]);
  await expect(inParts(items, work, { isOfItem: () => false })).rejects.toThrow('refused');
  expect(calls()).toBe(1);
});
