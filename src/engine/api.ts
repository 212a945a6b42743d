import type { FastifyInstance } from 'fastify';
import type { Config } from '../config/config.ts';
import { systemClock } from '../domain/clock.ts';
import { buildApp } from '../http/app.ts';
import type { TokenRules } from '../http/auth/buyers.ts';
import { openExclusive } from '../http/limits/exclusive.ts';
import { openSharedUsage } from '../http/limits/shared-usage.ts';
import { openCatalog } from '../inventory/catalog.ts';
import { openIntake } from '../inventory/intake.ts';
import { openHealth } from './health.ts';
import type { Releasers } from './releasers.ts';
import type { Wiring } from './wiring.ts';

/** How callers are authenticated. */
export type Callers = { tokens: TokenRules; operatorKey: string | undefined };

/**
 * Opens http and the intake behind it, without a port. `metricsPage` gives the text of /metrics:
 * that of all processes.
 */
export async function openApi(
  wiring: Wiring,
  callers: Callers,
  { releasers, metricsPage }: { releasers: Releasers; metricsPage: () => Promise<string> },
): Promise<FastifyInstance> {
  const { config, redis, ledger, log, metrics, lanes, services } = wiring;
  const catalog = openCatalog({
    lanes,
    published: ledger.drops.published,
    onError: (error) => log.warn({ err: error }, 'reading the lanes failed'),
  });
  const intake = openIntake({
    lanes,
    catalog,
    takes: services.takes,
    awaitsBuyer: services.awaitsBuyer,
  });
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
    metrics: { ...metrics, text: metricsPage },
    usage: openSharedUsage(redis, config.namespace),
    exclusive: openExclusive(redis, config.namespace),
    health: openHealth({ redis, namespace: config.namespace, ledger }),
    settings: {
      demo: config.demo,
      buying: config.role !== 'worker',
      keepAliveMs: config.http.keepAliveMs,
      trustedProxies: config.http.trustedProxies,
      allowedOrigins: originsOf(config),
      allowedSchemes: config.http.allowedSchemes,
    },
  });
}

/** The engine's own pages and those of the shops that it serves. */
function originsOf({ http, payments }: Config): string[] {
  const own = URL.parse(payments.publicUrl)?.origin;
  return own === undefined ? http.allowedOrigins : [own, ...http.allowedOrigins];
}
