import { hash } from 'node:crypto';
import {
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

// Making a database costs seconds of CPU, opening a copy of one a fraction of that. So one is made
// and kept, for as long as the migrations and PGlite stay what they are.

const root = resolve(import.meta.dirname, '../..');
const cache = join(root, 'node_modules/.cache/flashdrop');

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

/** A temporary folder with a fresh ledger in it, for the caller to open and to remove. */
export async function newLedgerFolder(): Promise<string> {
  const template = await makeTemplate();
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-test-ledger-'));
  cpSync(template, folder, { recursive: true });
  return folder;
}

async function makeTemplate(): Promise<string> {
  const template = join(cache, `ledger-${fingerprint()}`);
  if (existsSync(template)) return template;
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(`${template}-`);
  await (await openLedger({ folder: draft })).close();
  try {
    renameSync(draft, template);
  } catch (error) {
    // Another test file was faster; a folder with something in it is never replaced.
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
  return hash('sha256', [...texts, pglite].join('\0'), 'hex').slice(0, 16);
}
