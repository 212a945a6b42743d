import { expect, test } from 'vitest';
import { withDeadline } from '../../src/scheduling/deadline.ts';

test('Work that ends within its deadline gives its result, or its error', async () => {
  expect(await withDeadline(Promise.resolve('done'), 60_000)).toBe('done');
  await expect(withDeadline(Promise.reject(new Error('broken')), 60_000)).rejects.toThrow('broken');
});

test('Work that takes longer than its deadline is not waited for, and its later error is nobody’s', async () => {
  const { promise, reject } = Promise.withResolvers<string>();
  expect(await withDeadline(promise, 1)).toBeUndefined();
  reject(new Error('too late'));
  // An unhandled rejection would fail the run.
  await new Promise(setImmediate);
});
