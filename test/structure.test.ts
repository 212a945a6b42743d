import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  circlesOf,
  foldersOf,
  layers,
  outwardOf,
  readGraph,
  upwardOf,
} from '../scripts/imports.mjs';

const root = resolve(import.meta.dirname, '..');
const src = join(root, 'src');
const linesMax = 300;
const castsMax = 60;

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

/**
 * The casts in a TypeScript source, as the text from a value to its type. Left out are `as const` and
 * what only looks like a cast: names in imports and exports, texts (with the code inside templates)
 * and comments.
 */
function castsIn(source: string): string[] {
  const code = source
    .replace(/`(?:\\.|\$\{(?:[^{}]|\{[^{}]*\})*\}|[^`\\])*`/gs, '``')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/'(?:\\.|[^'\\\n])*'/g, "''")
    .replace(/"(?:\\.|[^"\\\n])*"/g, '""')
    .replace(/\/\/.*$/gm, '')
    .replace(/^(import|export)\b[^;]*?\bfrom\b/gm, '');
  // The type is only looked at, so that both casts of `a as unknown as B` are found.
  const casts = code.matchAll(/([\w)\]}>]+)\s+as\s+(?!const\b)(?=([\w{([]+|''|""))/g);
  return [...casts].map(([, value, type]) => `${value} as ${type}`);
}

const files = filesIn(src);
const { imports, packages } = readGraph(src);
const sentence = ({ from, to }: { from: string; to: string }) => `${from} imports ${to}`;

describe('the house', () => {
  test('the graph of imports was read: files and imports were found', () => {
    expect(files.length).toBeGreaterThan(20);
    expect(imports.length).toBeGreaterThan(40);
  });

  test('every folder of src has its place in the order of imports', () => {
    const folders = files.flatMap(({ file }) => (file.includes('/') ? [file.split('/')[0]] : []));
    expect([...new Set(folders)].filter((name) => !layers.flat().includes(name ?? ''))).toEqual([]);
  });

  test('imports point one way: down the layers, and never sideways', () => {
    expect(upwardOf(imports)).toEqual([]);
  });

  test('no files import each other in a circle, types included', () => {
    expect(circlesOf(imports)).toEqual([]);
  });

  test('no folders import each other in a circle', () => {
    expect(circlesOf(foldersOf(imports))).toEqual([]);
  });

  test('the source imports nothing from the tests, scripts, load tests or simulators', () => {
    expect(imports.filter(({ to }) => to.startsWith('..')).map(sentence)).toEqual([]);
  });

  test('the domain is pure: node:crypto is all it takes from outside', () => {
    const outside = packages.filter(({ from }) => from.startsWith('domain/'));
    expect(outside.filter(({ to }) => to !== 'node:crypto').map(sentence)).toEqual([]);
  });

  test('only config/config.ts reads the environment', () => {
    const readers = files.filter(
      ({ file, text }) =>
        file !== 'config/config.ts' && /process\s*\.\s*env|from 'node:process'/.test(text),
    );
    expect(readers.map(({ file }) => file)).toEqual([]);
  });

  test('only main.ts is an entry, and engine/api-process.ts for what it starts: nothing imports them', () => {
    const entries = ['engine/api-process.ts', 'main.ts'];
    const imported = imports.filter(({ to, typeOnly }) => entries.includes(to) && !typeOnly);
    expect(imported.map(sentence)).toEqual([]);
  });

  test('only the entries end the process, and only main.ts reads the command line', () => {
    const having = (pattern: RegExp) =>
      files.filter(({ text }) => pattern.test(text)).map(({ file }) => file);
    expect(having(/process\.exit\b/).sort()).toEqual(['engine/api-process.ts', 'main.ts']);
    expect(having(/process\.argv|import\.meta\.main/)).toEqual(['main.ts']);
  });

  test(`no file is longer than ${linesMax} lines`, () => {
    expect(tooLong(files)).toEqual([]);
  });

  test(`src has at most ${castsMax} casts`, () => {
    const sample = 'const a = b as C as D; // e as F\nconst g = [`h as I`, j] as const;';
    expect(castsIn(sample)).toEqual(['b as C', 'C as D']);
    const casts = files.flatMap(({ file, text }) =>
      castsIn(text).map((cast) => `${file}: ${cast}`),
    );
    expect(casts.length, casts.join('\n')).toBeLessThanOrEqual(castsMax);
  });
});

describe('the simulators', () => {
  const simulators = filesIn(join(root, 'simulators'));
  const graph = readGraph(join(root, 'simulators'));

  test('were looked at', () => {
    expect(simulators.length).toBeGreaterThan(5);
  });

  test('import nothing of the engine or of what judges it: they know it by the wire alone', () => {
    const outside = graph.imports.filter(({ to }) => to.startsWith('..'));
    expect(outside.map(sentence)).toEqual([]);
  });

  test('import no files in a circle', () => {
    expect(circlesOf(graph.imports)).toEqual([]);
  });

  test("take no provider's own library: what the engine uses must not judge itself", () => {
    const libraries = /^(stripe|alipay-sdk)(\/|$)/;
    const own = graph.packages.filter(({ to, typeOnly }) => {
      return libraries.test(to) && !typeOnly;
    });
    expect(own.map(sentence)).toEqual([]);
  });

  test(`have no file longer than ${linesMax} lines`, () => {
    expect(tooLong(simulators)).toEqual([]);
  });
});

describe('the client', () => {
  const client = join(root, 'client/src');
  const graph = readGraph(client);

  test('stands alone: it imports nothing of the engine, of the tests or of any package', () => {
    expect(graph.imports.length).toBeGreaterThan(5);
    expect(outwardOf(graph)).toEqual([]);
    const taken = { from: 'a.ts', to: '../../src/b.ts', typeOnly: true };
    const graphOfWrong = { files: [], imports: [taken], packages: [{ ...taken, to: 'zod' }] };
    expect(outwardOf(graphOfWrong)).toEqual(['a.ts imports ../../src/b.ts', 'a.ts imports zod']);
    const { dependencies, peerDependencies } = JSON.parse(
      readFileSync(join(root, 'client/package.json'), 'utf8'),
    );
    expect({ dependencies, peerDependencies }).toEqual({});
  });

  test('imports no files in a circle', () => {
    expect(circlesOf(graph.imports)).toEqual([]);
  });

  test(`has no file longer than ${linesMax} lines, but for the types that are generated`, () => {
    expect(tooLong(filesIn(client))).toEqual(['api.ts']);
  });
});

describe('the load tests', () => {
  const { imports } = readGraph(join(root, 'loadtest'));

  test('import no files and no folders in a circle', () => {
    expect(imports.length).toBeGreaterThan(40);
    expect(circlesOf(imports)).toEqual([]);
    expect(circlesOf(foldersOf(imports))).toEqual([]);
  });
});
