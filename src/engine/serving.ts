import { shareDatabase } from '../ledger/database/shared-database.ts';
import type { Cluster } from '../processes/cluster.ts';
import { openProcessMetrics, type ProcessMetric } from '../processes/process-metrics.ts';
import type { Callers } from './api.ts';
import type { ApiOpening } from './api-process.ts';
import { openMetricsPage, serveOps } from './ops.ts';
import type { Releasers } from './releasers.ts';
import type { Wiring } from './wiring.ts';

/** Connections to a PostgreSQL server that all api processes have in total. */
const sharedConnections = 10;

/** Where the engine listens: for everybody, and for its operators. */
export type Addresses = { address: string; opsAddress: string };

/** Serves http in this process. */
export async function serveHere(
  wiring: Wiring,
  callers: Callers,
  releasers: Releasers,
): Promise<Addresses> {
  const { host, port, quietMs } = wiring.config;
  const metricsPage = openMetricsPage(wiring.metrics.text);
  const opsAddress = await serveOps(wiring, metricsPage, releasers);
  // Imported here, since the primary of a cluster serves no http and does not need this code.
  const { openApi } = await import('./api.ts');
  const { canSharePort, listen } = await import('../http/server/server.ts');
  const app = await openApi(wiring, callers, { releasers, metricsPage });
  const server = await listen(app, { host, port, reusePort: canSharePort });
  releasers.add('http', () => server.stop({ quietMs }));
  return { address: server.address, opsAddress };
}

/** Serves http in the child processes of a cluster, and the operators' routes in this process. */
export async function serveInCluster(
  wiring: Wiring,
  callers: Callers,
  { cluster, releasers }: { cluster: Cluster; releasers: Releasers },
): Promise<Addresses> {
  const { config, redisUrl, ledger, metrics } = wiring;
  const { host, port, quietMs, apiProcesses } = config;
  const processMetrics = openProcessMetrics();
  const opening: Omit<ApiOpening, 'name'> = {
    config,
    redisUrl,
    callers,
    ledgerConnectionsMax: Math.max(2, Math.ceil(sharedConnections / apiProcesses)),
  };

  const page = openMetricsPage(async () => {
    const own: ProcessMetric[] = await metrics.registry.getMetricsAsJSON();
    processMetrics.take('primary', own);
    await cluster.askAll('metrics', processMetrics.take);
    return await processMetrics.text();
  });
  const opsAddress = await serveOps(wiring, page, releasers);

  releasers.add('http', () => cluster.stop({ quietMs }));
  const address = await cluster.serve({
    host,
    port,
    opening: (name): ApiOpening => ({ name, ...opening }),
    handlersFor(name) {
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
  return { address, opsAddress };
}
