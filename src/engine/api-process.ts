import type { FastifyInstance } from 'fastify';
import type { Config } from '../config/config.ts';
import { listen, type Server } from '../http/server/server.ts';
import type { Database } from '../ledger/database/database.ts';
import { openSharedDatabase } from '../ledger/database/shared-database.ts';
import { ledgerOn } from '../ledger/ledger.ts';
import { createLog, type Logger } from '../log.ts';
import { openChannel } from '../processes/channel.ts';
import { keepCompiledCode } from '../processes/compiled-code.ts';
import { type Callers, openApi } from './api.ts';
import { openRedisConnection } from './redis-connection.ts';
import { openReleasers, type Releasers } from './releasers.ts';
import { type Wiring, wire } from './wiring.ts';

// The program of an api process, one of several that serve http on one port. The primary forks it,
// opens it over their channel and stops it; it also ends when the primary ends.

export type ApiOpening = {
  name: string;
  config: Config;
  redisUrl: string;
  callers: Callers;
  ledgerConnectionsMax: number;
};

type Api = { releasers: Releasers; wiring: Wiring; app: FastifyInstance };

let api: Api | undefined;
let server: Server | undefined;

const channel = openChannel(process, {
  async open(opening: ApiOpening) {
    api = await open(opening);
  },
  async listen({ host, port }: { host: string; port: number }) {
    server = await listen(opened().app, { host, port, reusePort: true });
    keepCompiledCode();
    return { address: server.address, port: server.port };
  },
  metrics: () => opened().wiring.metrics.registry.getMetricsAsJSON(),
  async stop({ quietMs }: { quietMs: number }) {
    await server?.stop({ quietMs });
    await api?.releasers.run();
  },
});

// Ctrl-C, a supervisor's SIGTERM and the end of the terminal reach the whole process group; only the
// primary acts on them.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('SIGHUP', () => {});
await channel.ended;
process.exit();

async function open({ name, config, redisUrl, callers, ...rest }: ApiOpening): Promise<Api> {
  const log = createLog(config.logLevel).child({ process: name });
  const releasers = openReleasers(log);
  const redis = await openRedisConnection(redisUrl, { log, releasers });
  const ledger = ledgerOn(await openDatabase(config, rest.ledgerConnectionsMax, log));
  releasers.add('ledger', ledger.close);
  const wiring = await wire({ config, redisUrl, redis, ledger, log });
  const metricsPage = (): Promise<string> => channel.ask('page');
  const app = await openApi(wiring, callers, { releasers, metricsPage });
  return { releasers, wiring, app };
}

/** An embedded ledger is open in the primary only; a PostgreSQL server is connected to directly. */
async function openDatabase(
  { ledger }: Config,
  connectionsMax: number,
  log: Logger,
): Promise<Database> {
  if (ledger.kind === 'embedded') return openSharedDatabase('pglite', channel.ask);
  const { openPostgres } = await import('../ledger/database/postgres.ts');
  return openPostgres({
    url: ledger.url,
    connectionsMax,
    onIdleError: (error) => log.warn({ err: error }, 'ledger connection failed'),
  });
}

function opened(): Api {
  if (!api) throw new Error('bug: asked before it was opened');
  return api;
}
