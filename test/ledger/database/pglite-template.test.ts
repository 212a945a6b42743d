import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { seedPglite, templateCache } from '../../../src/ledger/database/pglite-template.ts';

let root: string;
let folders = 0;
let made = 0;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'flashdrop-test-template-'));
  [folders, made] = [0, 0];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function emptyFolder(): string {
  folders += 1;
  const folder = join(root, `ledger-${folders}`);
  mkdirSync(folder);
  return folder;
}

/** Yields once, so that a concurrent caller makes a template as well. */
async function make(folder: string): Promise<void> {
  made += 1;
  await new Promise(setImmediate);
  writeFileSync(join(folder, 'PG_VERSION'), 'fresh');
}

test('The template of a fresh ledger is made once, and callers at the same moment all get a copy', async () => {
  const cache = join(root, 'cache');
  const crowd = [emptyFolder(), emptyFolder(), emptyFolder()];
  await Promise.all(crowd.map((folder) => seedPglite(folder, { make, cache })));
  const later = emptyFolder();
  const before = made;
  await seedPglite(later, { make, cache });
  expect(made).toBe(before);
  for (const folder of [...crowd, later]) {
    expect(readFileSync(join(folder, 'PG_VERSION'), 'utf8')).toBe('fresh');
  }
  expect(readdirSync(cache)).toHaveLength(1);
});

test('The template is kept in the node_modules folder of the program', () => {
  expect(existsSync(join(templateCache, '../..', '@electric-sql/pglite'))).toBe(true);
});

test('A folder that is not empty is left as it is', async () => {
  const folder = emptyFolder();
  writeFileSync(join(folder, 'PG_VERSION'), 'ours');
  await seedPglite(folder, { make, cache: join(root, 'cache') });
  expect(readFileSync(join(folder, 'PG_VERSION'), 'utf8')).toBe('ours');
  expect(made).toBe(0);
});

test('A ledger folder stays empty for PGlite to fill when no template can be made or kept', async () => {
  const folder = emptyFolder();
  writeFileSync(join(root, 'file'), '');
  await seedPglite(folder, { make, cache: join(root, 'file') });
  const failing = () => Promise.reject(new Error('no room'));
  await seedPglite(folder, { make: failing, cache: join(root, 'cache') });
  expect(readdirSync(folder)).toEqual([]);
  expect(readdirSync(join(root, 'cache'))).toEqual([]);
});

test('A ledger folder that cannot be replaced by the copy stays empty for PGlite to fill', async () => {
  const elsewhere = emptyFolder();
  // Renaming over a symbolic link fails like renaming over a mount, and needs no privileges.
  const folder = join(root, 'ledger');
  symlinkSync(elsewhere, folder);
  const before = readdirSync(root);
  await seedPglite(folder, { make, cache: join(root, 'cache') });
  expect(readlinkSync(folder)).toBe(elsewhere);
  expect(readdirSync(elsewhere)).toEqual([]);
  expect(readdirSync(root)).toEqual(['cache', ...before]);
});
