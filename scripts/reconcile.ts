import { parseArgs } from 'node:util';
import type { Config } from '../src/config/config.ts';
import { readSecrets } from '../src/embedded/folder.ts';
import { openProviders } from '../src/engine/providers.ts';
import { openServices } from '../src/engine/services.ts';
import { openLanes } from '../src/inventory/lanes.ts';
import { openPostgres } from '../src/ledger/database/postgres.ts';
import { ledgerOn } from '../src/ledger/ledger.ts';
import { createLog } from '../src/log.ts';
import type { ReconciliationReport } from '../src/reconciliation/report.ts';
import {
  CommandError,
  comparingMsMax,
  connectRedis,
  engineAddress,
  isUrlOrAbsent,
  parseArguments,
  readConfig,
  requestJson,
  runCommand,
  serversOf,
} from './command.ts';

// Compares the books of providers, ledger and lanes now. With REDIS_URL and DATABASE_URL this process
// does it, configured like the engine; an embedded ledger belongs to the running engine, which is asked.

const usage = `npm run reconcile -- [--hours N] [--url URL] [--json]

  --hours N   compare what began or changed in the last N hours, 1 to 2160 (default: 48)
  --url URL   the engine to ask (default: the one that runs on the data folder)
  --json      the whole report as JSON

Where an engine is asked, its operator key is read from FLASHDROP_OPERATOR_KEY, or else from the data
folder. Exits with 0 when nothing differs any more, 1 on an alarm, 2 when there is no result.`;

const exitCodes = { settled: 0, alarm: 1 } as const;
const sinceHoursMax = 2_160;

async function main(args: string[]): Promise<number> {
  const { sinceHours, url, json } = readArgs(args);
  const config = readConfig();
  const servers = serversOf(config, url);
  const report = servers
    ? await reconcileServers(servers, config, sinceHours)
    : await askEngine(config, { url, sinceHours });
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : table(report));
  return report.outcome === 'alarm' ? exitCodes.alarm : exitCodes.settled;
}

function readArgs(args: string[]) {
  return parseArguments(usage, () => {
    const { values } = parseArgs({
      args,
      options: {
        hours: { type: 'string' },
        url: { type: 'string' },
        json: { type: 'boolean' },
      },
    });
    const { hours, url, json = false } = values;
    const sinceHours = hours === undefined ? undefined : Number(hours);
    const isHours = (n: number) => Number.isInteger(n) && n >= 1 && n <= sinceHoursMax;
    if (sinceHours !== undefined && !isHours(sinceHours)) return undefined;
    return isUrlOrAbsent(url) ? { sinceHours, url, json } : undefined;
  });
}

/** Compares and repairs in this process, as a worker does. */
async function reconcileServers(
  { redisUrl, databaseUrl }: { redisUrl: string; databaseUrl: string },
  config: Config,
  sinceHours: number | undefined,
): Promise<ReconciliationReport> {
  const { namespace } = config;
  const log = createLog('silent');
  // Only the engine migrates the schema; on an older or newer one a query fails and says so.
  const ledger = ledgerOn(openPostgres({ url: databaseUrl }));
  try {
    const redis = await connectRedis(redisUrl);
    try {
      const services = openServices({
        redisUrl,
        redis,
        namespace,
        ledger,
        log,
        lanes: openLanes(redis, namespace),
        providers: await openProviders({ config, ledger, log }),
      });
      return await services.reconcile({ sinceHours });
    } finally {
      redis.disconnect();
    }
  } finally {
    await ledger.close();
  }
}

async function askEngine(
  config: Config,
  { url, sinceHours }: { url: string | undefined; sinceHours: number | undefined },
): Promise<ReconciliationReport> {
  const kept = config.folder && readSecrets(config.folder.path)?.operatorKey;
  const key = config.operatorKey ?? kept;
  if (!key) {
    throw new CommandError('set FLASHDROP_OPERATOR_KEY to the key of the engine that is asked');
  }
  return await requestJson(engineAddress(config, url), '/v1/reconciliations', {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ sinceHours }),
    signal: AbortSignal.timeout(comparingMsMax),
    hint: (status) =>
      status === 404 ? 'has it an operator key?' : 'is it this engine’s operator key?',
  });
}

function table(report: ReconciliationReport): string {
  const { compared, differences, further, notCompared } = report;
  const counts = `${compared.payments} payments, ${compared.orders} orders, ${compared.billLines} bill lines`;
  const lines = [`${counts} since ${report.since}`, ''];
  for (const { kind, order, payment, provider, lane, says, done } of differences) {
    const books = Object.entries(says).map(([who, what]) => `${who}: ${what}`);
    const names = [provider, payment, order, lane].filter(Boolean).join(' ');
    lines.push(`  ${done.padEnd(8)}  ${kind.padEnd(20)}  ${names}  ${books.join(' | ')}`);
  }
  if (further > 0) lines.push(`  and ${further} more`);
  for (const { what, why } of notCompared) lines.push(`  not compared: ${what} (${why})`);
  lines.push('', verdicts[report.outcome], '');
  return lines.join('\n');
}

const verdicts: Record<ReconciliationReport['outcome'], string> = {
  clean: 'clean: the books agree',
  repaired: 'repaired: the books agree now',
  alarm: 'ALARM: an operator must decide, see Reconciliation in docs/operations.md',
};

process.exitCode = await runCommand('the reconciliation', () => main(process.argv.slice(2)));
