import type { Redis } from 'ioredis';
import type { Config } from '../config/config.ts';
import { placeOf } from '../config/tls.ts';
import { required } from '../domain/required.ts';
import type { DataFolder } from '../embedded/folder.ts';
import { startEmbeddedRedis } from '../embedded/redis.ts';
import { findWeaknesses } from '../inventory/durability-check.ts';
import { findUnfit } from '../inventory/fitness-check.ts';
import { LedgerError } from '../ledger/database/database.ts';
import { type Ledger, openLedger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import { queuePrefix } from '../settlement/queue/queue-name.ts';
import { StartError } from '../start-error.ts';
import { openRedisConnection } from './redis-connection.ts';
import type { Releasers } from './releasers.ts';
import type { Step } from './start-steps.ts';

type Start = {
  config: Config;
  folder: DataFolder | undefined;
  log: Logger;
  /** Called with a line when a store makes the start wait. */
  onWait?: ((text: string) => void) | undefined;
};

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
    const { onWait } = start;
    const connection = await openRedisConnection(redisUrl, { log, releasers, onWait });
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
 * Refuses a server on which the engine does not work, or that could lose acknowledged orders, unless the
 * operator allows the weakness.
 */
async function assertSafe(redis: Redis, url: string, { config, log }: Start): Promise<void> {
  const at = `Redis at ${placeOf(url)}`;
  const unfit = await findUnfit(redis, sampleKeys(config.namespace));
  if (unfit) throw new StartError(`${at}: ${unfit}`);
  const weaknesses = await findWeaknesses(redis);
  const refused = weaknesses.filter(({ name }) => !config.allowUnsafeRedis.has(name));
  for (const { name, text } of weaknesses) log.warn({ weakness: name }, `Redis: ${text}`);
  if (refused.length === 0) return;
  const names = refused.map(({ name }) => name).join(',');
  const texts = refused.map(({ text }) => text).join('; ');
  throw new StartError(
    `${at} could lose orders: ${texts}; or allow it with FLASHDROP_ALLOW_UNSAFE_REDIS=${names}`,
  );
}

/** A key of each form: a lane's, the queue's, and that of /readyz. */
function sampleKeys(namespace: string): string[] {
  return [
    `${namespace}:{check:0}:rules`,
    `${queuePrefix(namespace)}:settle:id`,
    `${namespace}:readiness`,
  ];
}

/**
 * Connects to the configured ledger, or opens an embedded one, and migrates its schema.
 * @throws StartError when it cannot be opened or its schema is newer than this program
 */
export async function openConfiguredLedger(
  { config, folder, log, onWait }: Start,
  step: Step,
  releasers: Releasers,
): Promise<Ledger> {
  const { kind } = config.ledger;
  try {
    const ledger = await step(kind === 'url' ? 'ledger connected' : 'ledger opened', () =>
      openLedger({
        databaseUrl: config.ledger.kind === 'url' ? config.ledger.url : undefined,
        folder: folder?.ledger,
        onWait,
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
