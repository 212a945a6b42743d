import { parseArgs } from 'node:util';
import { type Config, processEnvironment, readCommand } from '../src/config/config.ts';
import { readSecrets } from '../src/embedded/folder.ts';
import { readHolder } from '../src/embedded/lock.ts';
import { openProviders } from '../src/engine/providers.ts';
import { openServices } from '../src/engine/services.ts';
import { openLanes } from '../src/inventory/lanes.ts';
import { connectHot } from '../src/inventory/redis-connections.ts';
import { openPostgres } from '../src/ledger/database/postgres.ts';
import { ledgerOn } from '../src/ledger/ledger.ts';
import { createLog } from '../src/log.ts';
import type { ReconciliationReport } from '../src/reconciliation/report.ts';

// The books of providers, ledger and lanes compared now. With REDIS_URL and DATABASE_URL it works
// for itself, as the engine is configured; the embedded ledger belongs to the running engine.

const usage = `npm run reconcile -- [--hours N] [--url URL] [--json]

  --hours N   what began or changed in the last N hours, 1 to 2160 (default: 48)
  --url URL   the engine to ask (default: the one that runs on the data folder)
  --json      the whole report as JSON

Where an engine is asked, its operator's key is read from FLASHDROP_OPERATOR_KEY, or is the data
folder's. Ends with 0 when nothing differs any more, 1 when somebody has to look, 2 when it cannot tell.`;

const exitCodes = { settled: 0, alarm: 1, unknown: 2 } as const;
const timeoutMs = 15 * 60_000;
const sinceHoursMax = 2_160;

type Asked = { sinceHours: number | undefined; url: string | undefined; json: boolean };

async function main(args: string[]): Promise<number> {
  const asked = readArgs(args);
  if (!asked) return complain(usage);
  const command = readCommand([], processEnvironment());
  if (command.kind === 'refused') return complain(command.problems.join('\n'));
  if (command.kind !== 'run') throw new Error('bug: no flags were given');
  const { config } = command;
  try {
    const direct = config.redis.kind === 'url' && config.ledger.kind === 'url' && !asked.url;
    const report = direct ? await compare(config, asked) : await ask(config, asked);
    if (typeof report === 'string') return complain(report);
    process.stdout.write(asked.json ? `${JSON.stringify(report, null, 2)}\n` : table(report));
    return report.outcome === 'alarm' ? exitCodes.alarm : exitCodes.settled;
  } catch (error) {
    return complain(`the reconciliation cannot tell: ${reasonOf(error)}`);
  }
}

function readArgs(args: string[]): Asked | undefined {
  try {
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
    if (url !== undefined && !URL.canParse(url)) return undefined;
    return { sinceHours, url, json };
  } catch {
    return undefined;
  }
}

/** Compares and mends for itself, as a worker does. */
async function compare(
  config: Config,
  { sinceHours }: Pick<Asked, 'sinceHours'>,
): Promise<ReconciliationReport> {
  if (config.redis.kind !== 'url' || config.ledger.kind !== 'url') throw new Error('bug: no URLs');
  const log = createLog('silent');
  // A schema that is not this program's is the engine's to bring up to date: a query says so.
  const ledger = ledgerOn(openPostgres({ url: config.ledger.url }));
  const redis = connectHot(config.redis.url, { timeoutMs: 10_000 });
  let refused: Error | undefined;
  redis.on('error', (error) => {
    refused = error;
  });
  try {
    await new Promise<void>((resolve, reject) => {
      redis.once('ready', resolve);
      redis.once('close', () => reject(refused ?? new Error('Redis ended the connection')));
    });
    const { namespace } = config;
    const settlement = openServices({
      redisUrl: config.redis.url,
      redis,
      namespace,
      ledger,
      log,
      lanes: openLanes(redis, namespace),
      providers: await openProviders({ config, ledger, log }),
    });
    return await settlement.reconcile({ sinceHours });
  } finally {
    redis.disconnect();
    await ledger.close();
  }
}

async function ask(
  config: Config,
  { url, sinceHours }: Asked,
): Promise<ReconciliationReport | string> {
  const folder = config.folder?.path;
  const running = folder === undefined ? undefined : readHolder(folder)?.address;
  const base = url ?? running ?? `http://${config.host}:${config.port}`;
  const kept = folder === undefined ? undefined : readSecrets(folder)?.operatorKey;
  const key = config.operatorKey ?? kept;
  if (!key) return 'set FLASHDROP_OPERATOR_KEY to the key of the engine that is asked';
  const answer = await fetch(new URL('/v1/reconciliations', base), {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(sinceHours === undefined ? {} : { sinceHours }),
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((cause: unknown) => {
    throw new Error(`no engine answers at ${base}; start it or name it with --url`, { cause });
  });
  if (answer.ok) return (await answer.json()) as ReconciliationReport;
  const { title = '' } = (await answer.json().catch(() => ({}))) as { title?: string };
  const hint = answer.status === 404 ? 'has it an operator key?' : 'is it this engine’s key?';
  return `${base} answers ${answer.status} ${title}: ${hint}`;
}

function table(report: ReconciliationReport): string {
  const { compared, differences, further, notCompared } = report;
  const counts = `${compared.payments} payments, ${compared.orders} orders, ${compared.billLines} bill lines`;
  const lines = [`${counts} since ${report.since}`, ''];
  for (const { kind, order, payment, provider, says, done } of differences) {
    const told = Object.entries(says).map(([who, what]) => `${who}: ${what}`);
    const names = [provider, payment, order].filter(Boolean).join(' ');
    lines.push(`  ${done.padEnd(8)}  ${kind.padEnd(20)}  ${names}  ${told.join(' | ')}`);
  }
  if (further > 0) lines.push(`  and ${further} more`);
  for (const { what, why } of notCompared) lines.push(`  not compared: ${what} (${why})`);
  lines.push('', verdicts[report.outcome], '');
  return lines.join('\n');
}

const verdicts: Record<ReconciliationReport['outcome'], string> = {
  clean: 'clean: the books agree',
  repaired: 'repaired: the books agree now',
  alarm: 'ALARM: somebody has to look, see Reconciliation in docs/operations.md',
};

function reasonOf(error: unknown): string {
  const { message, errors } = error as Error & { errors?: Error[] };
  return message || errors?.[0]?.message || String(error);
}

function complain(text: string): number {
  process.stderr.write(`${text}\n`);
  return exitCodes.unknown;
}

process.exitCode = await main(process.argv.slice(2));
