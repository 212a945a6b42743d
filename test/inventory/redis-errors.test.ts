import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectHot, connectQueue } from '../../src/inventory/redis-connections.ts';
import {
  isRedisError,
  isRedisReply,
  redisErrorCodes,
  unavailableCodes,
} from '../../src/inventory/redis-errors.ts';
import { sharedRedisUrl } from '../support/redis.ts';

const redis = connectHot(sharedRedisUrl(), { timeoutMs: 10_000 });
beforeAll(() => new Promise<void>((resolve) => redis.once('ready', resolve)));
afterAll(() => redis.disconnect());

const { noGroup, noScript, groupExists } = redisErrorCodes;

test('The codes are those that Redis itself answers with', async () => {
  const key = 'test-redis-errors';
  const missing = await redis.xreadgroup('GROUP', 'g', 'c', 'STREAMS', key, '>').catch(String);
  expect(missing).toContain(noGroup);
  await redis.xgroup('CREATE', key, 'g', '0', 'MKSTREAM');
  const again = await redis.xgroup('CREATE', key, 'g', '0').catch((error: unknown) => error);
  expect(isRedisError(again, groupExists)).toBe(true);
  expect(isRedisError(again, noGroup, noScript)).toBe(false);
  const unknown = await redis.evalsha('0'.repeat(40), 0).catch((error: unknown) => error);
  expect(isRedisError(unknown, noGroup, noScript)).toBe(true);
  await redis.del(key);
});

test('An answer that was lost is not taken for a refusal by Redis', () => {
  for (const error of [
    new Error('Command timed out'),
    new Error('OOM is near'),
    'OOM',
    undefined,
  ]) {
    expect(isRedisReply(error)).toBe(false);
    expect(isRedisError(error, ...unavailableCodes)).toBe(false);
  }
});

test('A code is the whole first word of an answer', () => {
  const busy = Object.assign(new Error('BUSYGROUP exists'), { name: 'ReplyError' });
  expect(isRedisError(busy, redisErrorCodes.busy)).toBe(false);
  expect(isRedisError(busy, groupExists)).toBe(true);
});

test('A connection of the queue that a server refuses for minutes is not opened again at once each time', () => {
  const queue = connectQueue(sharedRedisUrl());
  try {
    const { options } = queue;
    expect(options.retryStrategy?.(1)).toBeLessThan(100);
    const refusal = Object.assign(new Error('READONLY You cannot write'), { name: 'ReplyError' });
    expect(options.reconnectOnError?.(refusal)).toBe(2);
    expect(options.retryStrategy?.(1)).toBeGreaterThanOrEqual(1_000);
  } finally {
    queue.disconnect();
  }
});
