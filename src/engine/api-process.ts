import type { FastifyInstance } from 'fastify';
import type { Config } from '../config/config.ts';
import type { TokenRules } from '../http/auth/buyers.ts';
import { listen, type Server } from '../http/server/server.ts';
import { openPostgres } from '../ledger/database/postgres.ts';
import { openSharedDatabase } from '../ledger/database/shared-database.ts';
import { type Ledger, ledgerOn } from '../ledger/ledger.ts';
import { createLog, type Logger } from '../log.ts';
import { openChannel } from '../processes/channel.ts';
import { type EngineCore, openApp, openCore } from './app.ts';
import { openHot } from './connections.ts';
import { openReleasers, type Releasers } from './releasers.ts';

// The program of a process that serves http beside others on one port. The primary starts it and
// tells it everything over their channel; it ends when the primary says so or is gone.

export type ApiOpening = {
  name: string;
  config: Config;
  redisUrl: string;
  tokens: TokenRules;
  operatorKey: string | undefined;
  ledgerConnectionsMax: number;
};

type Api = { log: Logger; releasers: Releasers; core: EngineCore; app: FastifyInstance };

let api: Api | undefined;
let server: Server | undefined;

const channel = openChannel(process, {
  async open(opening: ApiOpening) {
    api = await open(opening);
  },
  async listen({ host, port }: { host: string; port: number }) {
    server = await listen(opened().app, { host, port, reusePort: true });
    return { address: server.address, port: server.port };
  },
  figures: () => opened().core.metrics.registry.getMetricsAsJSON(),
  async stop({ quietMs }: { quietMs: number }) {
    await server?.stop({ quietMs });
    await api?.releasers.run();
  },
});

// Ctrl-C and a supervisor's SIGTERM go to the whole group: the primary drains, and says when.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
await channel.ended;
process.exit();

async function open({ name, ...opening }: ApiOpening): Promise<Api> {
  const { config, redisUrl, tokens, operatorKey } = opening;
  const log = createLog(config.logLevel).child({ process: name });
  const releasers = openReleasers(log);
  const redis = await openHot(redisUrl, log, releasers);
  const ledger = openLedgerOf(opening, log);
  releasers.add('ledger', ledger.close);
  const core = await openCore({ config, redisUrl, redis, ledger, log });
  const metricsPage = (): Promise<string> => channel.ask('page');
  const app = await openApp(core, { tokens, operatorKey }, { releasers, metricsPage });
  return { log, releasers, core, app };
}

/** The embedded ledger is open in the primary alone; a server is asked by each process itself. */
function openLedgerOf(
  { config, ledgerConnectionsMax }: Omit<ApiOpening, 'name'>,
  log: Logger,
): Ledger {
  if (config.ledger.kind === 'embedded') return ledgerOn(openSharedDatabase('pglite', channel.ask));
  return ledgerOn(
    openPostgres({
      url: config.ledger.url,
      connectionsMax: ledgerConnectionsMax,
      onIdleError: (error) => log.warn({ err: error }, 'a connection to the ledger failed'),
    }),
  );
}

function opened(): Api {
  if (!api) throw new Error('bug: asked before it was opened');
  return api;
}
