import { parseArgs } from 'node:util';
import { type AuditReport, openAudit } from '../src/audit/audit.ts';
import { type Config, processEnvironment, readCommand } from '../src/config/config.ts';
import { type DropId, isDropId } from '../src/domain/ids.ts';
import { readSecrets } from '../src/embedded/folder.ts';
import { readHolder } from '../src/embedded/lock.ts';
import { openRecords } from '../src/inventory/lane-scan.ts';
import { openLanes } from '../src/inventory/lanes.ts';
import { connectHot } from '../src/inventory/redis-connections.ts';
import { openAudit as openLedgerAudit } from '../src/ledger/checks/audit-queries.ts';
import { openPostgres } from '../src/ledger/database/postgres.ts';
import { openDrops } from '../src/ledger/drops.ts';
import { openOrders } from '../src/ledger/orders.ts';
import { openPayments } from '../src/ledger/payments/payments.ts';
import { openAccounts } from '../src/ledger/wallet/accounts.ts';

// The promises of one drop held against its lanes and the ledger. With REDIS_URL and DATABASE_URL
// it looks for itself; the embedded ledger belongs to the running engine, so there it asks that.

const usage = `npm run audit -- DROP [--url URL] [--json]

  --url URL   the engine to ask (default: the one that runs on the data folder)
  --json      the whole report as JSON

The API key of the drop's merchant is read from FLASHDROP_API_KEY, or is the demo merchant's.
Ends with 0 when every promise holds, 1 when one is broken, 2 when it cannot tell.`;

const exitCodes = { clean: 0, broken: 1, unknown: 2 } as const;
const timeoutMs = 120_000;

type Asked = { drop: DropId; url: string | undefined; json: boolean };

async function main(args: string[]): Promise<number> {
  const asked = readArgs(args);
  if (!asked) return complain(usage);
  const environment = processEnvironment();
  const command = readCommand([], environment);
  if (command.kind === 'refused') return complain(command.problems.join('\n'));
  if (command.kind !== 'run') throw new Error('bug: no flags were given');
  const { config } = command;
  try {
    const direct = config.redis.kind === 'url' && config.ledger.kind === 'url' && !asked.url;
    const report = direct
      ? await look(config, asked.drop)
      : await ask(config, { ...asked, key: environment['FLASHDROP_API_KEY'] });
    if (typeof report === 'string') return complain(report);
    process.stdout.write(asked.json ? `${JSON.stringify(report, null, 2)}\n` : table(report));
    if (report.checks.some((check) => !check.ok)) return exitCodes.broken;
    return report.settled ? exitCodes.clean : exitCodes.unknown;
  } catch (error) {
    return complain(`the audit cannot tell: ${reasonOf(error)}`);
  }
}

function readArgs(args: string[]): Asked | undefined {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { url: { type: 'string' }, json: { type: 'boolean' } },
    });
    const [drop = '', ...rest] = positionals;
    if (!isDropId(drop) || rest.length > 0) return undefined;
    if (values.url !== undefined && !URL.canParse(values.url)) return undefined;
    return { drop, url: values.url, json: values.json ?? false };
  } catch {
    return undefined;
  }
}

/** Reads lanes and ledger for itself, and changes neither. */
async function look(config: Config, drop: DropId): Promise<AuditReport | string> {
  if (config.redis.kind !== 'url' || config.ledger.kind !== 'url') throw new Error('bug: no URLs');
  const database = openPostgres({ url: config.ledger.url });
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
    const orders = openOrders(database);
    const audit = openAudit({
      lanes: openLanes(redis, config.namespace),
      records: openRecords(redis, config.namespace),
      orders,
      ledger: {
        orders,
        drops: openDrops(database),
        payments: openPayments(database),
        accounts: openAccounts(database),
        audit: openLedgerAudit(database),
      },
    });
    return (await audit(drop)) ?? `the ledger knows no drop ${drop}`;
  } finally {
    redis.disconnect();
    await database.close();
  }
}

async function ask(
  config: Config,
  { drop, url, key }: { drop: DropId; url: string | undefined; key: string | undefined },
): Promise<AuditReport | string> {
  const folder = config.folder?.path;
  const running = folder === undefined ? undefined : readHolder(folder)?.address;
  const base = url ?? running ?? `http://${config.host}:${config.port}`;
  const apiKey = key || (folder === undefined ? undefined : readSecrets(folder)?.merchantKey);
  if (!apiKey) return 'whose drop is it? Set FLASHDROP_API_KEY to the API key of its merchant';
  const answer = await fetch(new URL(`/v1/drops/${drop}/audit`, base), {
    headers: { authorization: `Bearer ${apiKey}` },
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((cause: unknown) => {
    throw new Error(`no engine answers at ${base}; start it or name it with --url`, { cause });
  });
  if (answer.ok) {
    const report = (await answer.json()) as Omit<AuditReport, 'at'> & { at: string };
    return { ...report, at: Date.parse(report.at) };
  }
  const problem = (await answer.json().catch(() => ({}))) as { title?: string };
  return `${base} answers ${answer.status} ${problem.title ?? ''}: is ${drop} this merchant's drop?`;
}

function table(report: AuditReport): string {
  const lines = [`${report.drop} at ${new Date(report.at).toISOString()}`, ''];
  for (const { promise, title, ok, figures, findings } of report.checks) {
    const told = Object.entries(figures).map(([name, figure]) => `${name} ${figure}`);
    const verdict = ok ? 'holds ' : 'BROKEN';
    lines.push(`  ${promise}  ${verdict}  ${title.padEnd(24)} ${told.join(', ')}`);
    for (const finding of findings) lines.push(`               ${finding}`);
  }
  lines.push('', verdictOf(report), '');
  return lines.join('\n');
}

function verdictOf({ checks, settled, backlog }: AuditReport): string {
  if (checks.some((check) => !check.ok)) return 'BROKEN: see above';
  if (settled) return 'clean: every promise holds';
  return `cannot tell: things are in motion (${backlog} events wait for the ledger); ask again`;
}

function reasonOf(error: unknown): string {
  const { message, errors } = error as Error & { errors?: Error[] };
  return message || errors?.[0]?.message || String(error);
}

function complain(text: string): number {
  process.stderr.write(`${text}\n`);
  return exitCodes.unknown;
}

process.exitCode = await main(process.argv.slice(2));
