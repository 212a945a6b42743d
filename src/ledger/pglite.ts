import { accessSync, constants, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { PGlite, type PGliteInterface, types } from '@electric-sql/pglite';
import { type Database, LedgerError, parseBigint, type Query } from './database.ts';

/** Folders this process has open: a lock that names this very process is stale unless listed. */
const openHere = new Set<string>();

/**
 * Opens the embedded ledger: a real PostgreSQL in this process, kept in `folder`, or in memory
 * when none is given. It has one connection; statements and transactions take turns.
 * @throws LedgerError when the folder cannot be written, is in use, or does not hold a ledger
 */
export async function openPglite(options: { folder?: string } = {}): Promise<Database> {
  const folder = options.folder === undefined ? undefined : resolve(options.folder);
  const unlock = folder === undefined ? () => {} : lockFolder(folder);
  let lite: PGlite;
  try {
    lite = await PGlite.create({
      ...(folder === undefined ? {} : { dataDir: folder }),
      parsers: { [types.INT8]: parseBigint },
    });
  } catch (cause) {
    unlock();
    throw new LedgerError(
      `the ledger in ${folder ?? 'memory'} does not open: move the folder away to begin anew, or restore a copy of it`,
      { cause },
    );
  }
  return {
    kind: 'pglite',
    query: queryOf(lite),
    transaction: (work) => lite.transaction((tx) => work(queryOf(tx))),
    close: async () => {
      try {
        await lite.close();
      } finally {
        unlock();
      }
    },
  };
}

function queryOf(lite: Pick<PGliteInterface, 'query' | 'exec'>): Query {
  return async <T>(sql: string, params: unknown[] = []) => {
    if (params.length > 0) return (await lite.query<T>(sql, params)).rows;
    return ((await lite.exec(sql)).at(-1)?.rows ?? []) as T[]; // several statements, as pg allows
  };
}

/** Two engines on one folder would ruin it: PGlite itself does not look. */
function lockFolder(folder: string): () => void {
  const path = `${folder}.lock`;
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    accessSync(dirname(folder), constants.W_OK);
    if (holderOf(path) === undefined) rmSync(path, { force: true });
    writeFileSync(path, String(process.pid), { flag: 'wx' });
  } catch (cause) {
    const holder = holderOf(path);
    throw new LedgerError(
      holder === undefined
        ? `the ledger's folder ${folder} cannot be written: choose another one or correct its permissions`
        : `the ledger in ${folder} is in use by process ${holder}: stop it first (if it is none of ours, delete ${path})`,
      { cause },
    );
  }
  openHere.add(path);
  return () => {
    openHere.delete(path);
    rmSync(path, { force: true });
  };
}

/** The living process that a lock file names. */
function holderOf(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    if (!Number.isInteger(pid) || pid <= 0) return undefined;
    if (pid === process.pid) return openHere.has(path) ? pid : undefined;
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
    return Number(readFileSync(path, 'utf8'));
  }
}
