import type { FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';
import type { Config } from '../config/config.ts';
import { systemClock } from '../domain/clock.ts';
import { buildApp } from '../http/app.ts';
import type { TokenRules } from '../http/auth/buyers.ts';
import { openCatalog } from '../inventory/catalog.ts';
import { openIntake } from '../inventory/intake.ts';
import { type Lanes, openLanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import { type Metrics, openMetrics } from '../metrics.ts';
import type { Providers } from '../payments/provider.ts';
import { openProviders } from './providers.ts';
import type { Releasers } from './releasers.ts';
import { openServices, type Services } from './services.ts';

/** The stores of a process, open. */
export type Stores = {
  config: Config;
  redisUrl: string;
  redis: Redis;
  ledger: Ledger;
  log: Logger;
};

/** What every process of the engine has, whatever its role. */
export type EngineCore = Stores & {
  metrics: Metrics;
  lanes: Lanes;
  providers: Providers;
  services: Services;
};

/** Wires the services of a process on its stores; starts nothing. */
export async function openCore(stores: Stores): Promise<EngineCore> {
  const { config, redisUrl, redis, ledger, log } = stores;
  const { namespace, reconcileMinutes } = config;
  const metrics = openMetrics();
  const lanes = openLanes(redis, namespace);
  const providers = await openProviders({ config, ledger, log });
  const services = openServices({
    redisUrl,
    redis,
    namespace,
    lanes,
    ledger,
    providers,
    log,
    metrics,
    reconcileEveryMs: reconcileMinutes > 0 ? reconcileMinutes * 60_000 : undefined,
  });
  return { ...stores, metrics, lanes, providers, services };
}

/** All of http and the intake behind it, without a port. `metricsPage` replaces the page of /metrics. */
export async function openApp(
  core: EngineCore,
  callers: { tokens: TokenRules; operatorKey: string | undefined },
  { releasers, metricsPage }: { releasers: Releasers; metricsPage?: () => Promise<string> },
): Promise<FastifyInstance> {
  const { config, redis, ledger, log, metrics, lanes, services } = core;
  const catalog = openCatalog({
    lanes,
    wasPublished: ledger.drops.wasPublished,
    onError: (error) => log.warn({ err: error }, 'the lanes cannot be read'),
  });
  const intake = openIntake({ lanes, catalog, takes: services.takes });
  catalog.start();
  releasers.add('catalog', catalog.stop);
  return await buildApp({
    log,
    intake,
    catalog,
    lanes,
    ledger,
    services,
    ...callers,
    clock: systemClock,
    metrics: metricsPage ? { ...metrics, text: metricsPage } : metrics,
    health: { redis: () => redis.ping(), ledger: () => ledger.database.query('select 1') },
    settings: { demo: config.demo, buying: config.role !== 'worker' },
  });
}
