import { Redis, type RedisOptions } from 'ioredis';
import { readStoreAddress } from '../config/tls.ts';
import { demotedCodes, isRedisError } from './redis-errors.ts';

/** What ioredis does after an error reply that asks for a new connection. */
const reconnect = { no: false, andReject: 1, andResend: 2 } as const;

/** While its server refuses writes, a hot connection is dropped this often, and serves reads between. */
const dropEveryMs = 1_000;
/** A connection of the queue that was dropped so recently waits `dropEveryMs` before the next one. */
const droppedMs = 5_000;
/** How often a new connection asks whether the server has read its append-only file. */
const loadingPollMs = 500;

/**
 * The connection of the hot path: a command is sent at most once. With its defaults ioredis sends a
 * command again after a lost reply, and a script runs twice. Callers retry with the same key. An
 * answer that says that the server is not the master any more drops the connection.
 */
export function connectHot(url: string, options: { timeoutMs: number }): Redis {
  let droppedAt = Number.NEGATIVE_INFINITY;
  return connect(url, {
    reconnectOnError(error) {
      const now = performance.now();
      if (!isRedisError(error, ...demotedCodes) || now - droppedAt < dropEveryMs) {
        return reconnect.no;
      }
      droppedAt = now;
      return reconnect.andReject;
    },
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    commandTimeout: options.timeoutMs,
    // A connection that accepts bytes and never answers is closed and opened again.
    socketTimeout: 3 * options.timeoutMs,
  });
}

/**
 * BullMQ's connections: its workers block on them and wait until a lost connection is back. A command
 * that a server refuses because it is not the master any more waits for the next connection,
 * which pauses: where the server refuses for minutes, each connection would be opened twenty times a
 * second. BullMQ duplicates the connection with its options, so all of a queue's share the pause.
 */
export function connectQueue(url: string): Redis {
  let droppedAt = Number.NEGATIVE_INFINITY;
  return connect(url, {
    maxRetriesPerRequest: null,
    reconnectOnError(error) {
      if (!isRedisError(error, ...demotedCodes)) return reconnect.no;
      droppedAt = performance.now();
      return reconnect.andResend;
    },
    retryStrategy: (attempt) =>
      performance.now() - droppedAt < droppedMs ? dropEveryMs : retryMsOf(attempt),
  });
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
  | 'reconnectOnError'
  | 'retryStrategy'
>;

const retryMsOf = (attempt: number) => Math.min(50 * attempt, 1_000);

function connect(url: string, options: Tuning): Redis {
  const address = readStoreAddress(url);
  const tls: Pick<RedisOptions, 'tls'> = address.tls ? { tls: address.tls } : {};
  return new Redis(address.url, {
    ...tls,
    connectTimeout: 2_000,
    keepAlive: 10_000,
    maxLoadingRetryTime: loadingPollMs,
    retryStrategy: retryMsOf,
    ...options,
  });
}

/** Redis' clock, ms since the epoch. It alone decides whether a hold has ended. */
export async function redisTime(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
}
