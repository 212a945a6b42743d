import { Redis, type RedisOptions } from 'ioredis';

/**
 * The hot path's connection: a command is sent once or not at all. Without these settings ioredis
 * sends it again after a lost reply, and a script runs twice; retrying is ours, with the same key.
 */
export function connectHot(url: string, options: { timeoutMs: number }): Redis {
  return connect(url, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    commandTimeout: options.timeoutMs,
    // A link that swallows bytes without a reset is dropped and opened anew.
    socketTimeout: 3 * options.timeoutMs,
  });
}

/** BullMQ's connections: its workers block for as long as they like and wait out a lost link. */
export function connectQueue(url: string): Redis {
  return connect(url, { maxRetriesPerRequest: null });
}

/**
 * Ends such a connection. One that is between two tries makes its next try its last: ended now, it
 * would leave what waits for it waiting for ever.
 */
export function endQueue(redis: Redis): void {
  redis.options.retryStrategy = () => null;
  if (redis.status !== 'reconnecting') redis.disconnect();
}

type Tuning = Pick<
  RedisOptions,
  | 'maxRetriesPerRequest'
  | 'enableOfflineQueue'
  | 'autoResendUnfulfilledCommands'
  | 'commandTimeout'
  | 'socketTimeout'
>;

function connect(url: string, options: Tuning): Redis {
  return new Redis(url, {
    connectTimeout: 2_000,
    keepAlive: 10_000,
    retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
    ...options,
  });
}

/** Redis' clock, ms since the epoch: it alone says whether a hold has ended. */
export async function redisTime(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
}
