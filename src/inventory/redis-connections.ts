import { Redis, type RedisOptions } from 'ioredis';

/**
 * The connection of the hot path: a command is sent at most once. With its defaults ioredis sends a
 * command again after a lost reply, and a script runs twice. Callers retry with the same key.
 */
export function connectHot(url: string, options: { timeoutMs: number }): Redis {
  return connect(url, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    commandTimeout: options.timeoutMs,
    // A connection that accepts bytes and never answers is closed and opened again.
    socketTimeout: 3 * options.timeoutMs,
  });
}

/** BullMQ's connections: its workers block on them and wait until a lost connection is back. */
export function connectQueue(url: string): Redis {
  return connect(url, { maxRetriesPerRequest: null });
}

/**
 * Closes such a connection. One that is about to reconnect tries once more and then ends: closed at
 * once, it would leave its waiting commands pending for ever.
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

/** Redis' clock, ms since the epoch. It alone decides whether a hold has ended. */
export async function redisTime(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
}
