import type { FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';
import type { Config } from '../config/config.ts';
import { systemClock } from '../domain/clock.ts';
import { buildApp } from '../http/app.ts';
import type { TokenRules } from '../http/auth/buyers.ts';
import { openCatalog } from '../inventory/catalog.ts';
import { openIntake } from '../inventory/intake.ts';
import { openLanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import { openMetrics } from '../metrics.ts';
import { openSettlement } from '../settlement/settlement.ts';
import { openProviders } from './providers.ts';
import type { Releasers } from './releasers.ts';

export type Parts = Awaited<ReturnType<typeof openParts>>;

/** What every process of the engine is made of, whatever it does with it. */
export async function openParts(stores: {
  config: Config;
  redisUrl: string;
  redis: Redis;
  ledger: Ledger;
  log: Logger;
}) {
  const { config, redis, ledger } = stores;
  const { namespace } = config;
  const metrics = openMetrics();
  const lanes = openLanes(redis, namespace);
  const providers = await openProviders({ config, ledger, log: stores.log });
  const settlement = openSettlement({
    ...{ redisUrl: stores.redisUrl, redis, namespace, lanes, ledger, log: stores.log, metrics },
    providers,
    ...(config.reconcileMinutes > 0 ? { reconcileEveryMs: config.reconcileMinutes * 60_000 } : {}),
  });
  return { ...stores, metrics, lanes, providers, settlement };
}

/** All of http and the intake behind it, without a port. `figures` is the page of /metrics. */
export async function openApp(
  parts: Parts,
  {
    tokens,
    operatorKey,
    figures,
  }: {
    tokens: TokenRules;
    operatorKey?: string | undefined;
    figures?: () => Promise<string>;
  },
  releasers: Releasers,
): Promise<FastifyInstance> {
  const { config, redis, ledger, log, metrics, lanes, settlement } = parts;
  const catalog = openCatalog({
    lanes,
    wasPublished: ledger.drops.wasPublished,
    onError: (error) => log.warn({ err: error }, 'the lanes cannot be read'),
  });
  const intake = openIntake({ lanes, catalog, takes: settlement.takes });
  catalog.start();
  releasers.add('catalog', catalog.stop);
  return await buildApp({
    ...{ log, intake, catalog, lanes, ledger, tokens, operatorKey, settlement },
    clock: systemClock,
    metrics: figures ? { ...metrics, text: figures } : metrics,
    health: { redis: () => redis.ping(), ledger: () => ledger.database.query('select 1') },
    settings: { demo: config.demo, buying: config.role !== 'worker' },
  });
}
