import type { Redis } from 'ioredis';
import type { Config } from '../config/config.ts';
import { required } from '../domain/required.ts';
import type { DataFolder } from '../embedded/folder.ts';
import { startEmbeddedRedis } from '../embedded/redis.ts';
import { findWeaknesses } from '../inventory/durability-check.ts';
import { connectHot } from '../inventory/redis-connections.ts';
import { LedgerError } from '../ledger/database/database.ts';
import { type Ledger, openLedger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import { StartError } from '../start-error.ts';
import type { Releasers } from './releasers.ts';
import type { Step } from './start-steps.ts';

type Start = { config: Config; folder: DataFolder | undefined; log: Logger };

/** A command without a reply after this time fails, and its outcome is unknown. */
const commandTimeoutMs = 2_000;
const connectMsMax = 10_000;

/**
 * Connects to the configured Redis, or starts an embedded one, and checks that it cannot lose what it
 * acknowledges.
 * @throws StartError when it does not start, does not answer, or could lose orders
 */
export async function openRedis(
  start: Start,
  step: Step,
  releasers: Releasers,
): Promise<{ redisUrl: string; redis: Redis }> {
  const { config, log } = start;
  const redisUrl =
    config.redis.kind === 'url'
      ? config.redis.url
      : await step('redis-server started', () => startOwnRedis(start, releasers));
  const redis = await step('Redis connected', async () => {
    const connection = await openRedisConnection(redisUrl, log, releasers);
    await assertSafe(connection, redisUrl, start);
    return connection;
  });
  return { redisUrl, redis };
}

async function startOwnRedis(start: Start, releasers: Releasers): Promise<string> {
  const { config, log } = start;
  const folder = required(start.folder, 'data folder for the embedded Redis');
  const embedded = await startEmbeddedRedis({
    folder: folder.redis,
    password: folder.secrets.redisPassword,
    env: config.redisSearch,
    log,
  });
  releasers.add('redis', embedded.stop);
  return embedded.url;
}

/**
 * The connection of the hot path, once Redis answers.
 * @throws StartError when it does not answer in time
 */
export async function openRedisConnection(
  url: string,
  log: Logger,
  releasers: Releasers,
): Promise<Redis> {
  const redis = connectHot(url, { timeoutMs: commandTimeoutMs });
  releasers.add('the connection to Redis', () => redis.disconnect());
  let last: Error | undefined;
  redis.on('error', (error) => {
    last = error;
    log.warn({ err: error }, 'Redis connection failed');
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      const reason = last?.message ?? 'no reply';
      reject(
        new StartError(
          `Redis does not answer at ${host(url)} (${reason}): check REDIS_URL and that it runs`,
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

/** Refuses a server that could lose acknowledged orders, unless the operator allows the weakness. */
async function assertSafe(redis: Redis, url: string, { config, log }: Start): Promise<void> {
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

/**
 * Connects to the configured ledger, or opens an embedded one, and migrates its schema.
 * @throws StartError when it cannot be opened or its schema is newer than this program
 */
export async function openConfiguredLedger(
  { config, folder, log }: Start,
  step: Step,
  releasers: Releasers,
): Promise<Ledger> {
  const { kind } = config.ledger;
  try {
    const ledger = await step(kind === 'url' ? 'ledger connected' : 'ledger opened', () =>
      openLedger({
        databaseUrl: config.ledger.kind === 'url' ? config.ledger.url : undefined,
        folder: folder?.ledger,
        onIdleError: (error) => log.warn({ err: error }, 'ledger connection failed'),
      }),
    );
    releasers.add('ledger', ledger.close);
    return ledger;
  } catch (error) {
    if (error instanceof LedgerError) throw new StartError(error.message, { cause: error });
    throw error;
  }
}
