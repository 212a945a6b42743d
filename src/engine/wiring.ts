import type { Redis } from 'ioredis';
import type { Config } from '../config/config.ts';
import { type Lanes, openLanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import { type Metrics, openMetrics } from '../metrics.ts';
import type { Providers } from '../payments/provider.ts';
import { openProviders } from './providers.ts';
import { openServices, type Services } from './services.ts';

/** Settings, open connections and log of a process. */
export type Connections = {
  config: Config;
  redisUrl: string;
  redis: Redis;
  ledger: Ledger;
  log: Logger;
};

/** What every process of the engine has, in any role. */
export type Wiring = Connections & {
  metrics: Metrics;
  lanes: Lanes;
  providers: Providers;
  services: Services;
};

/** Wires the services of a process to its connections; starts nothing. */
export async function wire(connections: Connections): Promise<Wiring> {
  const { config, redisUrl, redis, ledger, log } = connections;
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
  return { ...connections, metrics, lanes, providers, services };
}
