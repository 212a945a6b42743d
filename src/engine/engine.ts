import type { Config } from '../config/config.ts';
import type { DataFolder } from '../embedded/folder.ts';
import type { SimulatedProvider } from '../embedded/simulators.ts';
import { openSigner, type TokenRules } from '../http/auth/buyers.ts';
import type { Logger } from '../log.ts';
import { openCore } from './app.ts';
import type { Demo } from './banner.ts';
import { assertSafe, openHot, openLedgerOf, openRedisUrl } from './connections.ts';
import { openDemo } from './demo.ts';
import { openReleasers, type Releasers } from './releasers.ts';
import { serveAlone, serveWithCluster } from './serving.ts';
import { simulateProviders } from './simulated-providers.ts';

export type Engine = {
  /** Where http is served. */
  address: string;
  /** How many processes serve there. */
  processes: number;
  demo: Demo | undefined;
  /** Names of the methods of payment. */
  methods: string[];
  /** Those of them that are simulated and take no money. */
  simulators: SimulatedProvider[];
  /** Stops taking requests, finishes what is in hand, closes. */
  stop(): Promise<void>;
};

type Start = { config: Config; folder: DataFolder | undefined; log: Logger };

/**
 * The composition root: opens Redis, the ledger and what the role needs, and closes all of it in the
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
  simulated.catch(() => {}); // Awaited below, if the start comes that far.

  const redisUrl = await openRedisUrl({ ...start, log }, releasers);
  const redis = await openHot(redisUrl, log, releasers);
  await assertSafe(redis, redisUrl, { ...start, log });
  const ledger = await openLedgerOf({ ...start, log }, releasers);

  const { config, simulators } = await simulated;
  const core = await openCore({ config, redisUrl, redis, ledger, log });
  const { services, lanes, providers } = core;
  if (config.role !== 'api') {
    releasers.add('the settlement', services.stop);
    await services.start();
  }

  const callers = {
    tokens: tokenRules(config, folder),
    operatorKey: config.operatorKey ?? folder?.secrets.operatorKey,
  };
  const serve = processes > 1 ? serveWithCluster : serveAlone;
  const address = await serve(core, callers, releasers);
  const demo =
    config.demo && folder
      ? await openDemo({
          ledger,
          lanes,
          publishing: services.publishing,
          merchantKey: folder.secrets.merchantKey,
          sign: openSigner(callers.tokens),
        })
      : undefined;
  const methods = [...providers.keys()];
  return { address, processes, demo, methods, simulators, stop: releasers.run };
}

function tokenRules(config: Config, folder: DataFolder | undefined): TokenRules {
  const { tokens } = config;
  if (tokens.kind !== 'folder') return tokens;
  if (!folder) throw new Error("bug: the data folder's secret needs a data folder");
  return { ...tokens, kind: 'secret', secret: folder.secrets.jwtSecret };
}
