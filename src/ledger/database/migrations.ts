import { hash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, LedgerError, type Query } from './database.ts';

export type Migration = { number: number; name: string; sql: string; sha256: string };

const fileName = /^(\d{4})_[a-z_]+\.sql$/;
const lockKey = 7_203_551; // any number, as long as every flashdrop uses the same

/**
 * How long a statement of a migration may take, or wait for another process's migration: an index over
 * many orders takes minutes, and a start that gave up would give up each time.
 */
export const migrationMsMax = 30 * 60_000;
/** How long one waits for a table: whoever wants it next waits behind. */
const tableMsMax = 120_000;
/** A migration that takes longer is told of. */
const quickMsMax = 5_000;

/** The migrations of this program, in order. */
export function readMigrations(folder = join(import.meta.dirname, '../../../sql')): Migration[] {
  const names = readdirSync(folder).filter((name) => fileName.test(name));
  return names.sort().map((name, index) => {
    const number = Number(name.slice(0, 4));
    if (number !== index + 1) throw new LedgerError(`sql/${name} breaks the numbering`);
    const sql = readFileSync(join(folder, name), 'utf8').replaceAll('\r\n', '\n');
    return { number, name, sql, sha256: hash('sha256', sql, 'hex') };
  });
}

/**
 * Brings the schema up to date. Each file is applied once, in a transaction of its own; processes
 * that start at the same time wait for each other.
 * @param onWait called with a line when a migration takes its time, here or in another process
 * @returns how many files were applied
 * @throws LedgerError when the schema is newer than this program, or an applied file has changed
 */
export async function migrate(
  database: Database,
  migrations: readonly Migration[] = readMigrations(),
  onWait: (text: string) => void = () => {},
): Promise<number> {
  const telling = setTimeout(() => {
    onWait('bringing the ledger up to date, here or in another process: minutes with many orders');
  }, quickMsMax);
  try {
    return await migrateAll(database, migrations);
  } finally {
    clearTimeout(telling);
  }
}

async function migrateAll(database: Database, migrations: readonly Migration[]): Promise<number> {
  await locked(database, (query) =>
    query(`create table if not exists schema_migrations (
      number integer primary key, name text not null, sha256 text not null,
      applied_at bigint not null)`),
  );
  let count = 0;
  for (const migration of migrations) {
    const applied = await locked(database, async (query) => {
      if (await isApplied(query, { migration, migrations })) return false;
      await query(migration.sql);
      await query(
        'insert into schema_migrations (number, name, sha256, applied_at) values ($1, $2, $3, $4)',
        [migration.number, migration.name, migration.sha256, Date.now()],
      );
      return true;
    });
    if (applied) count += 1;
  }
  return count;
}

function locked<T>(database: Database, work: (query: Query) => Promise<T>): Promise<T> {
  return database.transaction(async (query) => {
    // Waiting for another process's migration may take longer than a statement is allowed.
    await query(
      `set local lock_timeout = ${migrationMsMax}; set local statement_timeout = ${migrationMsMax}`,
    );
    await query('select pg_advisory_xact_lock($1)', [lockKey]);
    await query(`set local lock_timeout = ${tableMsMax}`);
    return await work(query);
  });
}

async function isApplied(
  query: Query,
  known: { migration: Migration; migrations: readonly Migration[] },
): Promise<boolean> {
  const rows = await query<{ number: number; name: string; sha256: string }>(
    'select number, name, sha256 from schema_migrations order by number',
  );
  const last = rows.at(-1);
  if (last && last.number > known.migrations.length) {
    throw new LedgerError(
      `the ledger was written by a newer flashdrop (it has ${last.name}): start that version or a later one`,
    );
  }
  const { migration } = known;
  const row = rows.find((candidate) => candidate.number === migration.number);
  if (!row) return false;
  if (row.sha256 !== migration.sha256) {
    throw new LedgerError(
      `sql/${migration.name} differs from the file the ledger was made with: restore it and put the change into a new migration`,
    );
  }
  return true;
}
