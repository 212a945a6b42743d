import type { Redis } from 'ioredis';
import type { Demo } from './banner.ts';
import type { Config } from './config.ts';
import { openDemo } from './demo.ts';
import { systemClock } from './domain/clock.ts';
import type { DataFolder } from './embedded/folder.ts';
import { startEmbeddedRedis } from './embedded/redis.ts';
import { buildApp } from './http/app.ts';
import { openSigner, type TokenRules } from './http/auth/buyers.ts';
import { listen } from './http/server.ts';
import { openCatalog } from './inventory/catalog.ts';
import { connectHot } from './inventory/connection.ts';
import { openIntake } from './inventory/intake.ts';
import { openLanes } from './inventory/lanes.ts';
import { findWeaknesses } from './inventory/safety.ts';
import { LedgerError } from './ledger/database.ts';
import { type Ledger, openLedger } from './ledger/ledger.ts';
import type { Logger } from './log.ts';
import { openMetrics } from './metrics.ts';
import { openWallet } from './payments/wallet/wallet.ts';
import { openReleasers, type Releasers } from './releasers.ts';
import { openSettlement } from './settlement/settlement.ts';
import { StartError } from './start-error.ts';

export type Engine = {
  /** Where http is served; undefined for a worker alone without a port. */
  address: string;
  demo: Demo | undefined;
  /** Quiet, drain, close. */
  stop(): Promise<void>;
};

type Start = { config: Config; folder: DataFolder | undefined; log: Logger };

/** A command not answered by then is given up; its outcome is told to be unknown. */
const commandTimeoutMs = 2_000;
const connectMsMax = 10_000;

/**
 * The composition root: opens Redis, the ledger and the role's parts, and closes them in the
 * reverse order.
 * @throws StartError when something the operator can mend is in the way
 */
export async function startEngine(start: Start): Promise<Engine> {
  const releasers = openReleasers(start.log);
  try {
    return await compose(start, releasers);
  } catch (error) {
    await releasers.run();
    throw error;
  }
}

async function compose({ config, folder, log }: Start, releasers: Releasers): Promise<Engine> {
  const { namespace, role } = config;
  const redisUrl = await openRedisUrl({ config, folder, log }, releasers);
  const redis = await openHot(redisUrl, { config, log }, releasers);
  const ledger = await openLedgerOf({ config, folder, log }, releasers);
  const metrics = openMetrics();
  const lanes = openLanes(redis, namespace);
  const wallet = openWallet({ database: ledger.database, accounts: ledger.accounts });
  const settlement = openSettlement({
    ...{ redisUrl, redis, namespace, lanes, ledger, log, metrics },
    providers: new Map([[wallet.name, wallet]]),
  });
  const catalog = openCatalog({
    lanes,
    wasPublished: ledger.drops.wasPublished,
    onError: (error) => log.warn({ err: error }, 'the lanes cannot be read'),
  });
  const intake = openIntake({ lanes, catalog });
  const tokens = tokenRules(config, folder);

  if (role !== 'api') {
    releasers.add('the settling of orders', settlement.stop);
    await settlement.start();
  }
  catalog.start();
  releasers.add('catalog', catalog.stop);
  const app = await buildApp({
    ...{ log, metrics, intake, catalog, lanes, ledger, tokens, settlement },
    clock: systemClock,
    health: { redis: () => redis.ping(), ledger: () => ledger.database.query('select 1') },
    settings: { demo: config.demo, buying: role !== 'worker' },
  });
  const server = await listen(app, config);
  releasers.add('http', () => server.stop({ quietMs: config.quietMs }));
  const demo =
    config.demo && folder
      ? await openDemo({
          ...{ ledger, lanes, publishing: settlement.publishing },
          merchantKey: folder.secrets.merchantKey,
          sign: openSigner(tokens),
        })
      : undefined;
  return { address: server.address, demo, stop: releasers.run };
}

async function openRedisUrl(start: Start, releasers: Releasers): Promise<string> {
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

/** The hot connection, once it answers and the server is one that keeps what it acknowledges. */
async function openHot(
  url: string,
  { config, log }: Pick<Start, 'config' | 'log'>,
  releasers: Releasers,
): Promise<Redis> {
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
  await assertSafe(redis, url, { config, log });
  return redis;
}

async function assertSafe(
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

async function openLedgerOf(start: Start, releasers: Releasers): Promise<Ledger> {
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

function tokenRules(config: Config, folder: DataFolder | undefined): TokenRules {
  const { tokens } = config;
  if (tokens.kind !== 'folder') return tokens;
  if (!folder) throw new Error("bug: the data folder's secret needs a data folder");
  return { ...tokens, kind: 'secret', secret: folder.secrets.jwtSecret };
}
