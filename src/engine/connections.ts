import type { Redis } from 'ioredis';
import type { Config } from '../config/config.ts';
import type { DataFolder } from '../embedded/folder.ts';
import { startEmbeddedRedis } from '../embedded/redis.ts';
import { findWeaknesses } from '../inventory/durability-check.ts';
import { connectHot } from '../inventory/redis-connections.ts';
import { LedgerError } from '../ledger/database/database.ts';
import { type Ledger, openLedger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import { StartError } from '../start-error.ts';
import type { Releasers } from './releasers.ts';

type Start = { config: Config; folder: DataFolder | undefined; log: Logger };

/** A command not answered by then is given up; its outcome is told to be unknown. */
const commandTimeoutMs = 2_000;
const connectMsMax = 10_000;

/** Where Redis is: the one that is named, or one of the engine's own, started here. */
export async function openRedisUrl(start: Start, releasers: Releasers): Promise<string> {
  const { config, folder, log } = start;
  if (config.redis.kind === 'url') return config.redis.url;
  if (!folder) throw new Error('bug: an embedded Redis needs a data folder');
  const embedded = await startEmbeddedRedis({
    folder: folder.redis,
    password: folder.secrets.redisPassword,
    env: config.redisSearch,
    log,
  });
  releasers.add('redis', embedded.stop);
  return embedded.url;
}

/** The hot connection, once it answers. */
export async function openHot(url: string, log: Logger, releasers: Releasers): Promise<Redis> {
  const redis = connectHot(url, { timeoutMs: commandTimeoutMs });
  releasers.add('the connection to Redis', () => redis.disconnect());
  let last: Error | undefined;
  redis.on('error', (error) => {
    last = error;
    log.warn({ err: error }, 'the connection to Redis failed');
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(
        new StartError(
          `Redis does not answer at ${host(url)} (${last?.message ?? 'no reply'}): check REDIS_URL and that it runs`,
        ),
      );
    }, connectMsMax);
    redis.once('ready', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  return redis;
}

/**
 * Makes sure that the server keeps what it acknowledges, but for what the operator allows.
 * @throws StartError
 */
export async function assertSafe(
  redis: Redis,
  url: string,
  { config, log }: Pick<Start, 'config' | 'log'>,
): Promise<void> {
  const { tooOld, weaknesses } = await findWeaknesses(redis);
  if (tooOld) throw new StartError(`Redis at ${host(url)} is ${tooOld}: 7.0 or later is needed`);
  const refused = weaknesses.filter(({ name }) => !config.allowUnsafeRedis.has(name));
  for (const { name, text } of weaknesses) log.warn({ weakness: name }, `Redis: ${text}`);
  if (refused.length === 0) return;
  const names = refused.map(({ name }) => name).join(',');
  const texts = refused.map(({ text }) => text).join('; ');
  throw new StartError(
    `Redis at ${host(url)} could lose orders: ${texts}; or allow it with FLASHDROP_ALLOW_UNSAFE_REDIS=${names}`,
  );
}

function host(url: string): string {
  return new URL(url).host;
}

/** The ledger that is named, or one of the engine's own; its schema is brought up to date. */
export async function openLedgerOf(start: Start, releasers: Releasers): Promise<Ledger> {
  const { config, folder, log } = start;
  try {
    const ledger = await openLedger({
      ...(config.ledger.kind === 'url' ? { databaseUrl: config.ledger.url } : {}),
      ...(config.ledger.kind === 'embedded' && folder ? { folder: folder.ledger } : {}),
      onIdleError: (error) => log.warn({ err: error }, 'a connection to the ledger failed'),
    });
    releasers.add('ledger', ledger.close);
    return ledger;
  } catch (error) {
    if (error instanceof LedgerError) throw new StartError(error.message, { cause: error });
    throw error;
  }
}
