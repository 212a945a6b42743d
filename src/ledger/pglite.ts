import { accessSync, constants, mkdirSync } from 'node:fs';
import { PGlite, type PGliteInterface, types } from '@electric-sql/pglite';
import {
  connectionSettings,
  type Database,
  LedgerError,
  parseBigint,
  type Query,
} from './database.ts';

/**
 * Opens the embedded ledger: a real PostgreSQL in this process, kept in `folder`, or in memory
 * when none is given. It has one connection; statements and transactions take turns. The caller
 * sees to it that no other process has the folder open: PGlite itself does not look.
 * @throws LedgerError when the folder cannot be written or does not hold a sound ledger
 */
export async function openPglite(options: { folder?: string } = {}): Promise<Database> {
  const { folder } = options;
  if (folder !== undefined) assertWritable(folder);
  let lite: PGlite;
  try {
    lite = await PGlite.create({
      ...(folder === undefined ? {} : { dataDir: folder }),
      parsers: { [types.INT8]: parseBigint },
    });
    for (const [name, value] of Object.entries(connectionSettings)) {
      await lite.exec(`set ${name} = '${value}'`);
    }
  } catch (cause) {
    throw new LedgerError(
      `the ledger in ${folder ?? 'memory'} does not open: restore a copy of that folder, or move it away to begin anew`,
      { cause },
    );
  }
  return {
    kind: 'pglite',
    query: queryOf(lite),
    transaction: (work) => lite.transaction((tx) => work(queryOf(tx))),
    close: () => lite.close(),
  };
}

function queryOf(lite: Pick<PGliteInterface, 'query' | 'exec'>): Query {
  return async <T>(sql: string, params: unknown[] = []) => {
    try {
      if (params.length > 0) return (await lite.query<T>(sql, params)).rows;
      return ((await lite.exec(sql)).at(-1)?.rows ?? []) as T[]; // several statements, as pg allows
    } catch (error) {
      // Its errors carry the whole statement and its parameters, which belong in no log.
      if (error instanceof Error)
        for (const name of ['query', 'params']) Reflect.deleteProperty(error, name);
      throw error;
    }
  };
}

function assertWritable(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new LedgerError(
      `the ledger's folder ${folder} cannot be written: choose another one or correct its permissions`,
      { cause },
    );
  }
}
