import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectHot, connectQueue } from '../../src/inventory/redis-connections.ts';
import {
  isOfLane,
  isRedisError,
  isRedisReply,
  redisErrorCodes,
  unavailableCodes,
} from '../../src/inventory/redis-errors.ts';
import { sharedRedisUrl, untilReady } from '../support/redis.ts';

const redis = connectHot(sharedRedisUrl(), { timeoutMs: 10_000 });
beforeAll(() => untilReady(redis));
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

test('Only a key of another type and a script that failed over one are errors of a lane: a refusal of the user is one of all of Redis', async () => {
  const key = 'test-redis-errors-lane';
  const failure = (work: Promise<unknown>) => work.catch((error: unknown) => error);
  await redis.set(key, 'no hash');
  expect(isOfLane(await failure(redis.hmget(key, 'field')))).toBe(true);
  const adds = '#!lua\nreturn redis.call("get", KEYS[1]) + 1';
  expect(isOfLane(await failure(redis.eval(adds, 1, key)))).toBe(true);
  await redis.del(key);
  const username = 'test-redis-errors';
  await redis.acl('SETUSER', username, 'on', 'nopass', '~*', '+@connection', '+eval');
  const refused = redis.duplicate({ username, password: 'any', lazyConnect: true });
  try {
    await refused.connect();
    const plain = await failure(refused.hmget(key, 'field'));
    expect(String(plain)).toContain('NOPERM');
    const inScript = '#!lua\nreturn redis.call("hget", KEYS[1], "field")';
    for (const error of [plain, await failure(refused.eval(inScript, 1, key))]) {
      expect(isRedisReply(error) && !isOfLane(error)).toBe(true);
    }
  } finally {
    refused.disconnect();
    await redis.acl('DELUSER', username);
  }
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
