import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const src = join(root, 'src');
const linesMax = 300;

/** What each folder may import besides itself. Imports point one way, down this list. */
const allowed: Record<string, readonly string[]> = {
  http: ['web', 'settlement', 'inventory', 'payments', 'ledger', 'domain'],
  settlement: ['inventory', 'payments', 'ledger', 'domain'],
  inventory: ['domain'],
  payments: ['domain'],
  ledger: ['domain'],
  web: ['domain'],
  embedded: ['domain'],
  processes: ['domain'],
  config: ['domain'],
  domain: [],
};

/** Neighbours that know each other's shapes (a port, a record) but never call each other's code. */
const neighbours = ['inventory', 'payments', 'ledger'];

/** The wallet's money stands in the ledger's accounts, so it names them; other tables it may not. */
const exceptions = ['payments/wallet/wallet.ts imports ledger/accounts.ts'];

/** Files beside the folders that any of them but the domain may import. */
const shared = ['start-error.ts'];

type Import = { from: string; to: string; typeOnly: boolean };

type File = { file: string; text: string };

function filesIn(folder: string): File[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.m?[jt]s$/.test(file))
    .map((file) => ({ file, text: readFileSync(join(folder, file), 'utf8') }));
}

function tooLong(files: readonly File[]): string[] {
  const long = files.filter(({ text }) => text.split('\n').length - 1 > linesMax);
  return long.map(({ file }) => file);
}

const files = filesIn(src);

const statement =
  /^\s*(import|export)\s+(type\s+)?[^'"`;]*?from\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]/gm;

function importsOf({ file, text }: File): Import[] {
  return [...text.matchAll(statement)].map((match) => ({
    from: file,
    to: match[3] ?? match[4] ?? match[5] ?? '',
    typeOnly: match[2] !== undefined,
  }));
}

function isLocal({ to }: Import): boolean {
  return to.startsWith('.');
}

/** The target of a local import, relative to src. */
function target({ from, to }: Import): string {
  return relative(src, resolve(join(src, dirname(from)), to));
}

function folderOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : '';
}

function isAllowed(edge: Import): boolean {
  const from = folderOf(edge.from);
  const to = folderOf(target(edge));
  if (from === '' || from === to) return true; // The composition root may see everything.
  if (to === '') return from !== 'domain' && (edge.typeOnly || shared.includes(target(edge)));
  if (allowed[from]?.includes(to)) return true;
  if (exceptions.includes(`${edge.from} imports ${target(edge)}`)) return true;
  return edge.typeOnly && neighbours.includes(from) && neighbours.includes(to);
}

const imports = files.flatMap(importsOf);
const local = imports.filter(isLocal);
const words = ({ from, to }: Import) => `${from} imports ${to}`;

describe('the house', () => {
  test('was looked at: files and imports were found', () => {
    expect(files.length).toBeGreaterThan(20);
    expect(local.length).toBeGreaterThan(40);
  });

  test('every folder has its place in the order of imports', () => {
    const folders = new Set(files.map(({ file }) => folderOf(file)).filter(Boolean));
    expect([...folders].filter((folder) => !(folder in allowed))).toEqual([]);
  });

  test('imports point one way: http, settlement, (inventory, payments, ledger), domain', () => {
    expect(local.filter((edge) => !isAllowed(edge)).map(words)).toEqual([]);
  });

  test('the source imports nothing from the tests, scripts, load tests or simulators', () => {
    expect(local.filter((edge) => target(edge).startsWith('..')).map(words)).toEqual([]);
  });

  test('the domain is pure: node:crypto is all it takes from outside', () => {
    const outside = imports.filter((edge) => !isLocal(edge) && folderOf(edge.from) === 'domain');
    expect(outside.filter(({ to }) => to !== 'node:crypto').map(words)).toEqual([]);
  });

  test('only config.ts reads the environment', () => {
    const readers = files.filter(
      ({ file, text }) =>
        file !== 'config.ts' && /process\s*\.\s*env|from 'node:process'/.test(text),
    );
    expect(readers.map(({ file }) => file)).toEqual([]);
  });

  test('only main.ts is an entry, and api-process.ts for what it starts: nothing imports them', () => {
    const entries = ['api-process.ts', 'main.ts'];
    const imported = local.filter((edge) => entries.includes(target(edge)) && !edge.typeOnly);
    expect(imported.map(words)).toEqual([]);
  });

  test('only the entries end the process, and only main.ts reads the command line', () => {
    const having = (pattern: RegExp) =>
      files.filter(({ text }) => pattern.test(text)).map(({ file }) => file);
    expect(having(/process\.exit\b/).sort()).toEqual(['api-process.ts', 'main.ts']);
    expect(having(/process\.argv|import\.meta\.main/)).toEqual(['main.ts']);
  });

  test(`no file is longer than ${linesMax} lines`, () => {
    expect(tooLong(files)).toEqual([]);
  });
});

describe('the simulators', () => {
  const simulators = filesIn(join(root, 'simulators'));

  test('were looked at', () => {
    expect(simulators.length).toBeGreaterThan(5);
  });

  test('import nothing of the engine or of what judges it: they know it by the wire alone', () => {
    const outside = simulators
      .flatMap(importsOf)
      .filter((edge) => isLocal(edge) && join(dirname(edge.from), edge.to).startsWith('..'));
    expect(outside.map(words)).toEqual([]);
  });

  test("take no provider's own library: what the engine uses must not judge itself", () => {
    const libraries = /^(stripe|alipay-sdk)(\/|$)/;
    const own = simulators.flatMap(importsOf).filter(({ to, typeOnly }) => {
      return libraries.test(to) && !typeOnly;
    });
    expect(own.map(words)).toEqual([]);
  });

  test(`have no file longer than ${linesMax} lines`, () => {
    expect(tooLong(simulators)).toEqual([]);
  });
});
