import type { TokenRules } from '../http/auth/buyers.ts';
import { canSharePort, listen } from '../http/server/server.ts';
import { shareDatabase } from '../ledger/database/shared-database.ts';
import { startCluster } from '../processes/cluster.ts';
import { openProcessMetrics, type ProcessMetric } from '../processes/process-metrics.ts';
import type { ApiOpening } from './api-process.ts';
import { type EngineCore, openApp } from './app.ts';
import type { Releasers } from './releasers.ts';

/** What callers are recognised by. */
type Callers = { tokens: TokenRules; operatorKey: string | undefined };

/** Connections to a PostgreSQL server that the api processes have between them. */
const sharedConnections = 10;

/** Serves http in this process; gives the address. */
export async function serveAlone(
  core: EngineCore,
  callers: Callers,
  releasers: Releasers,
): Promise<string> {
  const { host, port, quietMs } = core.config;
  const app = await openApp(core, callers, { releasers });
  const server = await listen(app, { host, port, reusePort: canSharePort });
  releasers.add('http', () => server.stop({ quietMs }));
  return server.address;
}

/** Serves http in child processes that share the port, while this one keeps the stores and settles. */
export async function serveWithCluster(
  core: EngineCore,
  callers: Callers,
  releasers: Releasers,
): Promise<string> {
  const { config, redisUrl, ledger, metrics, log } = core;
  const { host, port, quietMs, apiProcesses: count } = config;
  const processMetrics = openProcessMetrics();
  const opening: Omit<ApiOpening, 'name'> = {
    config,
    redisUrl,
    ...callers,
    ledgerConnectionsMax: Math.max(2, Math.ceil(sharedConnections / count)),
  };
  const cluster = await startCluster({
    count,
    host,
    port,
    log,
    file: new URL('./api-process.ts', import.meta.url),
    opening: (name) => ({ name, ...opening }),
    serve(name) {
      const shared = shareDatabase(ledger.database);
      return {
        handlers: { ...shared.handlers, page },
        close() {
          shared.close();
          processMetrics.leave(name);
        },
      };
    },
  });
  releasers.add('http', () => cluster.stop({ quietMs }));

  async function page(): Promise<string> {
    processMetrics.take('primary', (await metrics.registry.getMetricsAsJSON()) as ProcessMetric[]);
    await cluster.askAll('figures', processMetrics.take);
    return await processMetrics.text();
  }
  return cluster.address;
}
