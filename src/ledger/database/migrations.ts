import { hash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, LedgerError, type Query } from './database.ts';

export type Migration = { number: number; name: string; sql: string; sha256: string };

const fileName = /^(\d{4})_[a-z_]+\.sql$/;
const lockKey = 7_203_551; // any number, as long as every flashdrop uses the same

/** How long a statement of a migration may take, or wait for another process's migration. */
export const migrationMsMax = 120_000;

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
 * @returns how many files were applied
 * @throws LedgerError when the schema is newer than this program, or an applied file has changed
 */
export async function migrate(
  database: Database,
  migrations: readonly Migration[] = readMigrations(),
): Promise<number> {
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
