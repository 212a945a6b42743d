import type { Config } from '../config/config.ts';
import { required } from '../domain/required.ts';
import type { DataFolder } from '../embedded/folder.ts';
import type { SimulatedProvider } from '../embedded/simulators.ts';
import type { TokenRules } from '../http/auth/buyers.ts';
import type { Logger } from '../log.ts';
import { type Cluster, launchCluster } from '../processes/cluster.ts';
import type { Demo } from './banner.ts';
import { openDemo } from './demo.ts';
import { openReleasers, type Releasers } from './releasers.ts';
import { serveHere, serveInCluster } from './serving.ts';
import { simulateProviders } from './simulated-providers.ts';
import { type OnStep, timeSteps } from './start-steps.ts';

export type Engine = {
  /** URL at which http is served. */
  address: string;
  /** URL of the operators' routes. */
  opsAddress: string;
  /** How many processes serve there. */
  processes: number;
  demo: Demo | undefined;
  /** Names of the methods of payment. */
  methods: string[];
  /** The simulated ones among them, which take no money. */
  simulators: SimulatedProvider[];
  /** Stops accepting requests, finishes those in flight, closes. */
  stop(): Promise<void>;
};

type Start = {
  config: Config;
  folder: DataFolder | undefined;
  log: Logger;
  /** Called when a step of the start is done. */
  onStep?: OnStep | undefined;
  /** Called with a line when a store makes the start wait. */
  onWait?: ((text: string) => void) | undefined;
};

/**
 * The composition root: opens Redis, the ledger and what the role needs, and closes all of it in the
 * reverse order.
 * @throws StartError when the start fails for a reason that the operator can fix
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

async function compose({ onStep, ...options }: Start, releasers: Releasers): Promise<Engine> {
  const { folder } = options;
  const processes = options.config.apiProcesses;
  const log = processes > 1 ? options.log.child({ process: 'primary' }) : options.log;
  const start = { ...options, log };
  const step = timeSteps(onStep);

  // Child processes are started first: they start up while this process loads its own code.
  const cluster = processes > 1 ? launchApiProcesses(start, releasers) : undefined;
  const simulating = simulateProviders(start, step, releasers);
  const connecting = step('store clients loaded', () => import('./connections.ts'));
  const openingRedis = connecting.then((stores) => stores.openRedis(start, step, releasers));
  // A Redis that is refused must leave the ledger as it was, not migrated. The engine's own is never
  // refused, so the ledger need not wait for it.
  const mayOpenLedger = start.config.redis.kind === 'url' ? openingRedis : undefined;
  const [{ config, simulators }, { redisUrl, redis }, ledger, { wire }] = await allSettled([
    simulating,
    openingRedis,
    Promise.all([connecting, mayOpenLedger]).then(([stores]) => {
      return stores.openConfiguredLedger(start, step, releasers);
    }),
    connecting.then(() => step('services loaded', () => loadServices(cluster))),
  ]);

  const wiring = await wire({ config, redisUrl, redis, ledger, log });
  const { services, providers } = wiring;
  if (config.role !== 'api') {
    releasers.add('the settlement', services.stop);
    await step('settlement started', services.start);
  }

  const callers = {
    tokens: tokenRules(config, folder),
    operatorKey: config.operatorKey ?? folder?.secrets.operatorKey,
  };
  const addresses = cluster
    ? await step(`${processes} api processes serve`, () =>
        serveInCluster(wiring, callers, { cluster, releasers }),
      )
    : await step('http serves', () => serveHere(wiring, callers, releasers));
  const demo =
    config.demo && folder
      ? await step('demo drop open', () => openDemo(wiring, callers.tokens, folder.secrets))
      : undefined;
  const methods = [...providers.keys()];
  return { ...addresses, processes, demo, methods, simulators, stop: releasers.run };
}

/**
 * Loads the code above the stores, and that of http where this process serves it: loading it later
 * would hold up settlement, which runs by then.
 */
async function loadServices(cluster: Cluster | undefined) {
  if (!cluster) await import('./api.ts');
  return await import('./wiring.ts');
}

/** Forks the processes that will serve http; ends them also when the start fails before they serve. */
function launchApiProcesses({ config, log }: Start, releasers: Releasers): Cluster {
  const file = new URL('./api-process.ts', import.meta.url);
  const cluster = launchCluster({ count: config.apiProcesses, file, log });
  releasers.add('api processes', () => cluster.stop({ quietMs: 0 }));
  return cluster;
}

/**
 * Resolves with every result, or rejects once all have ended: whatever was being opened then is open
 * and has a releaser, or has failed.
 */
async function allSettled<T extends readonly Promise<unknown>[]>(promises: readonly [...T]) {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}

function tokenRules({ tokens }: Config, folder: DataFolder | undefined): TokenRules {
  if (tokens.kind !== 'folder') return tokens;
  return { ...tokens, kind: 'secret', secret: required(folder, 'data folder').secrets.jwtSecret };
}
