import { hash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Ledger, openLedger } from '../../src/ledger/ledger.ts';
import { dropDatabase, newDatabase, sharedPostgres } from './postgres.ts';

// Making a database costs 17 s of CPU, opening a copy of one about 1 s. So one is made and kept, for
// as long as the migrations and PGlite stay the same.

const root = resolve(import.meta.dirname, '../..');
const cache = join(root, 'node_modules/.cache/flashdrop');
const sharedBuffers = '4MB';

/** An embedded ledger of a test's own, fresh and migrated; closing it removes it. */
export async function openTestLedger(): Promise<Ledger> {
  const folder = await newLedgerFolder();
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const ledger = await openLedger({ folder });
    return { ...ledger, close: () => ledger.close().finally(remove) };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Where a fresh ledger is that several processes open one after the other. */
export type LedgerPlace = { databaseUrl: string } | { folder: string };

/** A database on the shared server, which opens ten times as fast, or a folder where there is none. */
export async function newLedgerPlace(): Promise<LedgerPlace & { remove(): Promise<void> }> {
  const server = sharedPostgres();
  if ('url' in server) {
    const databaseUrl = await newDatabase(server.url);
    return { databaseUrl, remove: () => dropDatabase(server.url, databaseUrl) };
  }
  const folder = await newLedgerFolder();
  return { folder, remove: async () => rmSync(folder, { recursive: true, force: true }) };
}

/** A temporary folder with a fresh ledger in it, for the caller to open and to remove. */
export async function newLedgerFolder(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-test-ledger-'));
  await copyLedger(folder);
  return folder;
}

/** Puts a fresh and migrated ledger into a folder that does not exist or is empty. */
export async function copyLedger(folder: string): Promise<void> {
  cpSync(await makeTemplate(), folder, { recursive: true });
}

/** Makes the ledger that tests copy, unless it is kept from an earlier run; gives its folder. */
export async function makeTemplate(): Promise<string> {
  const template = join(cache, `ledger-${fingerprint()}`);
  if (existsSync(template)) return template;
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(`${template}-`);
  await (await openLedger({ folder: draft })).close();
  // The usual 128 MB are cleared at each open, which costs more than all that a test does in them.
  appendFileSync(join(draft, 'postgresql.conf'), `shared_buffers = ${sharedBuffers}\n`);
  try {
    renameSync(draft, template);
  } catch (error) {
    // Another process made it meanwhile; a folder with something in it is never replaced.
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(template)) throw error;
  }
  return template;
}

function fingerprint(): string {
  const sql = join(root, 'sql');
  const texts = readdirSync(sql)
    .sort()
    .map((file) => readFileSync(join(sql, file), 'utf8'));
  const pglite = readFileSync(join(root, 'node_modules/@electric-sql/pglite/package.json'), 'utf8');
  return hash('sha256', [...texts, pglite, sharedBuffers].join('\0'), 'hex').slice(0, 16);
}
