import { setTimeout as wait } from 'node:timers/promises';
import { explainTls, placeOf } from '../../config/tls.ts';
import { type Database, LedgerError } from './database.ts';
import { hasSqlState, isPoolerWithoutServer, sqlStates } from './postgres-errors.ts';

/** The oldest PostgreSQL that its makers maintain and that the statements in sql/ and src/ledger run on. */
const oldest = 14;

const retryMs = 250;
/** How long the start waits for a server that does not answer, and for one that says that it starts up. */
const waitMsMax = { absent: 10_000, startingUp: 600_000 };

const absentCodes = ['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'ENOENT'];

type Facts = {
  version: number;
  encoding: string;
  standby: boolean;
  read_only: string;
  schema: string | null;
  may_create: boolean | null;
  commits: string;
};

/**
 * Waits until a server answers, and checks that it can do all that the ledger needs.
 * @throws LedgerError with one line that says what is wrong and what to do
 */
export async function untilFit(
  database: Database,
  { url, onWait = () => {} }: { url: string; onWait?: ((text: string) => void) | undefined },
): Promise<void> {
  const started = performance.now();
  let told = false;
  for (;;) {
    try {
      const unfit = await findUnfit(database);
      if (unfit) throw new LedgerError(`PostgreSQL at ${placeOf(url)}: ${unfit}`);
      return;
    } catch (error) {
      const waitedMs = performance.now() - started;
      const startsUp = hasSqlState(error, sqlStates.cannotConnectNow);
      const mostMs = startsUp ? waitMsMax.startingUp : isAbsent(error) ? waitMsMax.absent : 0;
      if (waitedMs >= mostMs) throw ledgerErrorOf(error, url);
      if (startsUp && !told) onWait(`waiting for PostgreSQL at ${placeOf(url)}: it starts up`);
      told ||= startsUp;
      await wait(retryMs);
    }
  }
}

/** What makes a server unusable, and what to do; undefined when nothing does. */
async function findUnfit(database: Database): Promise<string | undefined> {
  // In a transaction, as most work is: a pooler in statement mode refuses it.
  const facts = await database.transaction(async (query) => {
    const [row] = await query<Facts>(`
      select current_setting('server_version_num')::int / 10000 as version,
        pg_encoding_to_char(encoding) as encoding,
        pg_is_in_recovery() as standby,
        current_setting('transaction_read_only') as read_only,
        current_setting('synchronous_commit') as commits,
        current_schema() as schema,
        has_schema_privilege(current_schema(), 'create') as may_create
      from pg_database where datname = current_database()`);
    return row;
  });
  if (!facts) return 'it does not say what it is: use PostgreSQL itself, or a pooler before it';
  const { version, encoding, standby, schema } = facts;
  if (version < oldest) return `it is version ${version}: use PostgreSQL ${oldest} or later`;
  if (standby) return 'it is a standby, which takes no writes: write the primary into DATABASE_URL';
  if (facts.read_only === 'on') {
    return 'it is read-only (default_transaction_read_only): set it off for this role and database';
  }
  if (encoding !== 'UTF8') {
    return `its database has the encoding ${encoding}: make one with create database NAME encoding 'UTF8' template template0`;
  }
  if (facts.commits === 'off') {
    return 'it may lose what it has committed (synchronous_commit off): set it on for this role and database';
  }
  if (schema === null)
    return 'none of the schemas in its search_path exists: create one, or set search_path';
  if (!facts.may_create) {
    return `its user may not create tables: grant create, usage on schema ${schema} to the user`;
  }
  return undefined;
}

/** What is wrong by SQLSTATE, and what to do. */
const explanations: Record<string, string | undefined> = {
  '28P01': 'it refuses the user or the password of DATABASE_URL: correct them',
  '28000':
    'it refuses the user: correct DATABASE_URL, or let the user in (pg_hba.conf; perhaps with sslmode=require)',
  '3D000': 'it has no such database: create it (create database NAME), or correct DATABASE_URL',
  '3F000': 'none of the schemas in its search_path exists: create one, or set search_path',
  '42501': 'its user lacks a right: make the user the owner of the database and of its tables',
  '42P07': 'the database has tables of another program: give flashdrop a database of its own',
  '42710': 'the database has objects of another program: give flashdrop a database of its own',
  '53300': 'it takes no more connections: raise max_connections, or close others',
  [sqlStates.readOnly]: 'it takes no writes: write the primary into DATABASE_URL',
};

/**
 * An error of a server as one line that says what is wrong and what to do. A bug, and what is an error of
 * the ledger already, stays as it is.
 */
export function ledgerErrorOf(error: unknown, url: string): unknown {
  if (error instanceof LedgerError || !(error instanceof Error)) return error;
  const explanation = explain(error);
  if (explanation === undefined) return error;
  return new LedgerError(`PostgreSQL at ${placeOf(url)}: ${explanation}`, { cause: error });
}

function explain(error: Error): string | undefined {
  const code = codeOf(error);
  const said = error.message.split('\n', 1)[0];
  if (/does not support SSL connections/.test(error.message)) {
    return 'it does not speak TLS: write sslmode=disable, or switch ssl on at the server';
  }
  if (/SSL required|no encryption/.test(error.message)) {
    return `it wants TLS (${said}): add sslmode=require to DATABASE_URL`;
  }
  if (/statement pooling mode/.test(error.message)) {
    return 'its pooler is in statement mode: set pool_mode to transaction or session';
  }
  const tls = explainTls(error);
  if (tls) return tls;
  if (isPoolerWithoutServer(error)) {
    return `its pooler reaches no server (${said}): check that PostgreSQL runs, and the pooler's settings`;
  }
  if (isAbsent(error))
    return `it does not answer (${code ?? said}): check DATABASE_URL and that it runs`;
  if (code !== undefined && /^[0-9A-Z]{5}$/.test(code)) {
    return `${explanations[code] ?? 'it refuses'} (${code}: ${said})`;
  }
  // Errors of the driver itself, such as for a server that asks for a password and is given none.
  return /password|SASL|SCRAM|Connection terminated|timeout/i.test(error.message)
    ? `it refuses the connection (${said}): check DATABASE_URL`
    : undefined;
}

function isAbsent(error: unknown): boolean {
  if (isPoolerWithoutServer(error)) return true;
  return error instanceof Error && absentCodes.includes(codeOf(error) ?? '');
}

/** Node's error for a name with several addresses has the codes of the tries inside. */
function codeOf(error: Error): string | undefined {
  if ('code' in error && typeof error.code === 'string') return error.code;
  const [first] = error instanceof AggregateError ? error.errors : [];
  return first instanceof Error ? codeOf(first) : undefined;
}
