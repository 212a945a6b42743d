import type { Config } from '../config/config.ts';
import type { DataFolder } from '../embedded/folder.ts';
import type { SimulatedProvider } from '../embedded/simulators.ts';
import { openSigner, type TokenRules } from '../http/auth/buyers.ts';
import { canSharePort, listen } from '../http/server/server.ts';
import { shareDatabase } from '../ledger/database/shared-database.ts';
import type { Logger } from '../log.ts';
import { startCrew } from '../processes/cluster.ts';
import { type Figure, openFigures } from '../processes/process-metrics.ts';
import type { ApiOpening } from './api-process.ts';
import type { Demo } from './banner.ts';
import { assertSafe, openHot, openLedgerOf, openRedisUrl } from './connections.ts';
import { openDemo } from './demo.ts';
import { openReleasers, type Releasers } from './releasers.ts';
import { openApp, openParts, type Parts } from './services.ts';
import { simulateProviders } from './simulated-providers.ts';

export type Engine = {
  /** Where http is served. */
  address: string;
  /** How many processes serve there. */
  processes: number;
  demo: Demo | undefined;
  /** Names of the ways to pay. */
  methods: string[];
  /** Those of them that take no money. */
  simulators: SimulatedProvider[];
  /** Quiet, drain, close. */
  stop(): Promise<void>;
};

type Start = { config: Config; folder: DataFolder | undefined; log: Logger };

/** Connections to a PostgreSQL server that the api processes have between them. */
const sharedConnections = 10;

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

async function compose(start: Start, releasers: Releasers): Promise<Engine> {
  const { folder } = start;
  const { apiProcesses: processes } = start.config;
  const log = processes > 1 ? start.log.child({ process: 'primary' }) : start.log;
  const simulated = simulateProviders({ config: start.config, log }, releasers);
  simulated.catch(() => {}); // It is waited for below, if the start comes that far.
  const redisUrl = await openRedisUrl({ ...start, log }, releasers);
  const redis = await openHot(redisUrl, log, releasers);
  await assertSafe(redis, redisUrl, { ...start, log });
  const ledger = await openLedgerOf({ ...start, log }, releasers);
  const { config, simulators } = await simulated;
  const parts = await openParts({ config, redisUrl, redis, ledger, log });
  const { settlement, lanes } = parts;
  const keys = {
    tokens: tokenRules(config, folder),
    operatorKey: config.operatorKey ?? folder?.secrets.operatorKey,
  };

  if (config.role !== 'api') {
    releasers.add('the settling of orders', settlement.stop);
    await settlement.start();
  }
  const serve = processes > 1 ? serveWithCrew : serveAlone;
  const address = await serve(parts, keys, releasers);
  const demo =
    config.demo && folder
      ? await openDemo({
          ...{ ledger, lanes, publishing: settlement.publishing },
          merchantKey: folder.secrets.merchantKey,
          sign: openSigner(keys.tokens),
        })
      : undefined;
  const methods = [...parts.providers.keys()];
  return { address, processes, demo, methods, simulators, stop: releasers.run };
}

/** What callers are recognised by. */
type Keys = { tokens: TokenRules; operatorKey: string | undefined };

async function serveAlone(parts: Parts, keys: Keys, releasers: Releasers): Promise<string> {
  const { host, port, quietMs } = parts.config;
  const app = await openApp(parts, keys, releasers);
  const server = await listen(app, { host, port, reusePort: canSharePort });
  releasers.add('http', () => server.stop({ quietMs }));
  return server.address;
}

/** This process keeps the stores and settles; others, which share the port, serve. */
async function serveWithCrew(parts: Parts, keys: Keys, releasers: Releasers): Promise<string> {
  const { config, redisUrl, ledger, metrics, log } = parts;
  const { host, port, quietMs, apiProcesses: count } = config;
  const figures = openFigures();
  const opening: Omit<ApiOpening, 'name'> = {
    ...{ config, redisUrl, ...keys },
    ledgerConnectionsMax: Math.max(2, Math.ceil(sharedConnections / count)),
  };
  const crew = await startCrew({
    ...{ count, host, port, log },
    file: new URL('./api-process.ts', import.meta.url),
    opening: (name) => ({ name, ...opening }),
    serve(name) {
      const shared = shareDatabase(ledger.database);
      return {
        handlers: { ...shared.handlers, page },
        close() {
          shared.close();
          figures.leave(name);
        },
      };
    },
  });
  releasers.add('http', () => crew.stop({ quietMs }));

  async function page(): Promise<string> {
    figures.take('primary', (await metrics.registry.getMetricsAsJSON()) as Figure[]);
    await crew.askAll('figures', figures.take);
    return await figures.text();
  }
  return crew.address;
}

function tokenRules(config: Config, folder: DataFolder | undefined): TokenRules {
  const { tokens } = config;
  if (tokens.kind !== 'folder') return tokens;
  if (!folder) throw new Error("bug: the data folder's secret needs a data folder");
  return { ...tokens, kind: 'secret', secret: folder.secrets.jwtSecret };
}
