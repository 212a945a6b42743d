import { parseArgs } from 'node:util';
import { type AuditReport, openAudit } from '../src/audit/audit.ts';
import { type Config, processEnvironment } from '../src/config/config.ts';
import { type DropId, isDropId } from '../src/domain/ids.ts';
import { readSecrets } from '../src/embedded/folder.ts';
import { openRecords } from '../src/inventory/lane-scan.ts';
import { openLanes } from '../src/inventory/lanes.ts';
import { openAudit as openLedgerAudit } from '../src/ledger/checks/audit-queries.ts';
import { openPostgres } from '../src/ledger/database/postgres.ts';
import { openDrops } from '../src/ledger/drops.ts';
import { openOrders } from '../src/ledger/orders.ts';
import { openPayments } from '../src/ledger/payments/payments.ts';
import { openAccounts } from '../src/ledger/wallet/accounts.ts';
import {
  CommandError,
  comparingMsMax,
  connectRedis,
  engineAddress,
  exitUnknown,
  isUrlOrAbsent,
  parseArguments,
  readConfig,
  requestJson,
  runCommand,
  serversOf,
} from './command.ts';

// Audits one drop: its promises, checked from the lanes and from the ledger. With REDIS_URL and
// DATABASE_URL this process reads both; an embedded ledger belongs to the running engine, which is asked.

const usage = `npm run audit -- DROP [--url URL] [--json]

  --url URL   the engine to ask (default: the one that runs on the data folder)
  --json      the whole report as JSON

The API key of the drop's merchant is read from FLASHDROP_API_KEY, or is the demo merchant's.
Exits with 0 when every promise holds, 1 when one is broken, 2 when there is no result.`;

const exitCodes = { clean: 0, broken: 1, unknown: exitUnknown } as const;

async function main(args: string[]): Promise<number> {
  const { drop, url, json } = readArgs(args);
  const config = readConfig();
  const servers = serversOf(config, url);
  const report = servers
    ? await auditServers(servers, { namespace: config.namespace, drop })
    : await askEngine(config, { url, drop });
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : table(report));
  if (report.checks.some((check) => !check.ok)) return exitCodes.broken;
  return report.settled ? exitCodes.clean : exitCodes.unknown;
}

function readArgs(args: string[]) {
  return parseArguments(usage, () => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { url: { type: 'string' }, json: { type: 'boolean' } },
    });
    const { url, json = false } = values;
    const [drop = '', ...rest] = positionals;
    if (!isDropId(drop) || rest.length > 0 || !isUrlOrAbsent(url)) return undefined;
    return { drop, url, json };
  });
}

/** Audits the drop from the servers' own data, and changes nothing. */
async function auditServers(
  { redisUrl, databaseUrl }: { redisUrl: string; databaseUrl: string },
  { namespace, drop }: { namespace: string; drop: DropId },
): Promise<AuditReport> {
  const database = openPostgres({ url: databaseUrl });
  try {
    const redis = await connectRedis(redisUrl);
    try {
      const orders = openOrders(database);
      const audit = openAudit({
        lanes: openLanes(redis, namespace),
        records: openRecords(redis, namespace),
        orders,
        ledger: {
          orders,
          drops: openDrops(database),
          payments: openPayments(database),
          accounts: openAccounts(database),
          audit: openLedgerAudit(database),
        },
      });
      const report = await audit(drop, 'operator');
      if (!report) throw new CommandError(`the ledger has no drop ${drop}`);
      return report;
    } finally {
      redis.disconnect();
    }
  } finally {
    await database.close();
  }
}

async function askEngine(
  config: Config,
  { url, drop }: { url: string | undefined; drop: DropId },
): Promise<AuditReport> {
  const kept = config.folder && readSecrets(config.folder.path)?.merchantKey;
  const key = processEnvironment().env['FLASHDROP_API_KEY'] || kept;
  if (!key) {
    throw new CommandError("set FLASHDROP_API_KEY to an API key of the drop's merchant");
  }
  const report = await requestJson<Omit<AuditReport, 'at'> & { at: string }>(
    engineAddress(config, url),
    `/v1/drops/${drop}/audit`,
    {
      headers: { authorization: `Bearer ${key}` },
      signal: AbortSignal.timeout(comparingMsMax),
      hint: () => `is ${drop} this merchant's drop?`,
    },
  );
  return { ...report, at: Date.parse(report.at) };
}

function table(report: AuditReport): string {
  const lines = [`${report.drop} at ${new Date(report.at).toISOString()}`, ''];
  for (const { promise, title, ok, figures, findings } of report.checks) {
    const shown = Object.entries(figures).map(([name, figure]) => `${name} ${figure}`);
    const verdict = ok ? 'holds ' : 'BROKEN';
    lines.push(`  ${promise}  ${verdict}  ${title.padEnd(24)} ${shown.join(', ')}`);
    for (const finding of findings) lines.push(`               ${finding}`);
  }
  lines.push('', verdictOf(report), '');
  return lines.join('\n');
}

function verdictOf({ checks, settled, backlog }: AuditReport): string {
  if (checks.some((check) => !check.ok)) return 'BROKEN: see above';
  if (settled) return 'clean: every promise holds';
  return `no result: the drop kept changing (${backlog} outbox entries are not relayed yet); run it again`;
}

process.exitCode = await runCommand('the audit', () => main(process.argv.slice(2)));
