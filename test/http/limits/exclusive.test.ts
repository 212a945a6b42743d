import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openExclusive, runInTurn } from '../../../src/http/limits/exclusive.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let redis: Redis;
beforeAll(() => {
  redis = new Redis(sharedRedisUrl());
});
afterAll(() => redis?.disconnect());

test('A search waits a moment for another one of its merchant instead of being refused', async () => {
  const end = () => {};
  let asked = 0;
  const exclusive = { begin: async () => (++asked > 2 ? end : undefined) };
  expect(await runInTurn(exclusive, 'search:m', async () => 'found')).toBe('found');
  const never = { begin: async () => undefined };
  const refused = runInTurn(never, 'search:m', async () => 'found');
  await expect(refused).rejects.toMatchObject({ code: 'already_running' });
});

test('After a search its merchant has to rest for as long as it took, in all processes, also when it failed', async () => {
  const [here, there] = [openExclusive(redis, 'rest'), openExclusive(redis, 'rest')];
  const rests: number[] = [];
  const noted = {
    async begin(name: string) {
      const end = await here.begin(name);
      return end && ((ms = 0) => end(rests[rests.push(ms) - 1]));
    },
  };
  let took = 0;
  const search = runInTurn(noted, 'm', async () => {
    const since = performance.now();
    await eventually(() => performance.now() - since > 50);
    took = performance.now() - since;
    throw new Error('Query read timeout');
  });
  await expect(search).rejects.toThrow('Query read timeout');
  expect(rests).toHaveLength(1);
  expect(rests[0]).toBeGreaterThanOrEqual(took);

  (await here.begin('other'))?.(60_000);
  for (const process of [there, here]) expect(await process.begin('other')).toBeUndefined();
  (await there.begin('third'))?.();
  await eventually(async () => (await here.begin('third')) !== undefined);
});
