// The graph of imports of src/: which folder imports which, and what breaks the rules, and that client/
// stands alone. Prints it when run (`node scripts/imports.mjs [folder]`), exits 1 on a broken rule;
// test/structure.test.ts uses the same.
// Imports of types count like any other. Plain JavaScript for Node 20, without dependencies.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The folders of src/ from top to bottom: each imports from the rows below its own. Folders of one
 * row do not import each other, except where `neighbours` allows types.
 */
export const layers = [
  ['engine'],
  ['http'],
  ['checkout', 'audit', 'reconciliation'],
  ['settlement'],
  ['drops'],
  ['inventory', 'payments', 'ledger'],
  ['embedded', 'processes', 'config'],
  ['batching', 'scheduling'],
  ['domain'],
];

/** Folders of one row that may import each other's types (a port, a record) and nothing else. */
const neighbours = ['inventory', 'payments', 'ledger'];

/** Files beside the folders: the entry, which imports anything, and what every folder may import. */
const entries = ['main.ts'];
const shared = ['start-error.ts', 'log.ts', 'metrics.ts'];

/** @typedef {{ from: string, to: string, typeOnly: boolean }} Import both ends relative to the folder */
/** @typedef {{ files: string[], imports: Import[], packages: Import[] }} Graph */

const statement =
  /^\s*(?:import|export)\s+(type\s+)?[^'"`;]*?from\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]/gm;

/**
 * Reads every import of the source files of a folder.
 * @param {string} folder
 * @returns {Graph}
 */
export function readGraph(folder) {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.m?[jt]s$/.test(file))
    .sort();
  const all = files.flatMap((from) => {
    const text = readFileSync(join(folder, from), 'utf8');
    return [...text.matchAll(statement)].map((match) => {
      const to = match[2] ?? match[3] ?? match[4] ?? '';
      return { from, to, typeOnly: match[1] !== undefined };
    });
  });
  const local = all.filter(({ to }) => to.startsWith('.'));
  return {
    files,
    imports: local.map((one) => ({
      ...one,
      to: relative(folder, resolve(join(folder, dirname(one.from)), one.to)),
    })),
    packages: all.filter(({ to }) => !to.startsWith('.')),
  };
}

/**
 * Groups of files that import each other in a circle, whatever its length.
 * @param {readonly Import[]} imports
 * @returns {string[][]}
 */
export function circlesOf(imports) {
  /** @type {Map<string, string[]>} */
  const targets = new Map();
  for (const { from, to } of imports) targets.set(from, [...(targets.get(from) ?? []), to]);
  /** @type {Map<string, { index: number, low: number, open: boolean }>} */
  const seen = new Map();
  /** @type {string[]} */
  const path = [];
  /** @type {string[][]} */
  const circles = [];
  // Tarjan's strongly connected components.
  const visit = (/** @type {string} */ file) => {
    const mark = { index: seen.size, low: seen.size, open: true };
    seen.set(file, mark);
    path.push(file);
    for (const to of targets.get(file) ?? []) {
      const other = seen.get(to) ?? visit(to);
      if (other.open) mark.low = Math.min(mark.low, other.low);
    }
    if (mark.low === mark.index) {
      const circle = path.splice(path.indexOf(file));
      for (const one of circle) Object.assign(seen.get(one) ?? {}, { open: false });
      const isCircle = circle.length > 1 || targets.get(file)?.includes(file);
      if (isCircle) circles.push(circle.sort());
    }
    return mark;
  };
  for (const file of targets.keys()) if (!seen.has(file)) visit(file);
  return circles;
}

/** The folders of a graph, importing each other as their files do. @param {readonly Import[]} imports */
export function foldersOf(imports) {
  const between = imports.map(({ from, to }) => ({ from: dirname(from), to: dirname(to) }));
  const distinct = new Map(between.map((one) => [`${one.from} ${one.to}`, one]));
  return [...distinct.values()]
    .filter(({ from, to }) => from !== to && from !== '.' && to !== '.')
    .map((one) => ({ ...one, typeOnly: false }));
}

/** Imports that go up or sideways. @param {readonly Import[]} imports */
export function upwardOf(imports) {
  return imports.filter((one) => !isAllowed(one)).map(({ from, to }) => `${from} imports ${to}`);
}

/** What a folder takes from outside: files beside it, and packages. @param {Graph} graph */
export function outwardOf({ imports, packages }) {
  return [...imports.filter(({ to }) => to.startsWith('..')), ...packages].map(
    ({ from, to }) => `${from} imports ${to}`,
  );
}

/** @param {Import} one */
function isAllowed({ from, to, typeOnly }) {
  if (entries.includes(from)) return true;
  if (shared.includes(to)) return topOf(from) !== 'domain';
  const [upper, lower] = [rowOf(from), rowOf(to)];
  if (shared.includes(from) || upper === -1 || lower === -1) return false;
  if (topOf(from) === topOf(to) || upper < lower) return true;
  const [a, b] = [topOf(from), topOf(to)];
  return typeOnly && neighbours.includes(a) && neighbours.includes(b);
}

/** @param {string} file */
const topOf = (file) => file.split('/')[0] ?? '';
/** @param {string} file */
const rowOf = (file) => layers.findIndex((row) => row.includes(topOf(file)));

/** @param {string} folder */
function print(folder) {
  const { files, imports } = readGraph(folder);
  const circles = circlesOf(imports);
  const folderCircles = circlesOf(foldersOf(imports));
  const upward = upwardOf(imports);
  /** @type {Map<string, string[]>} */
  const byFolder = new Map();
  for (const file of files) {
    byFolder.set(dirname(file), [...(byFolder.get(dirname(file)) ?? []), file]);
  }
  const sizes = [...byFolder];
  const [biggest] = sizes.sort((a, b) => b[1].length - a[1].length);
  const lines = layers.flatMap((row) =>
    row.map((top) => {
      const own = files.filter((file) => topOf(file) === top);
      const to = imports.filter((one) => topOf(one.from) === top && topOf(one.to) !== top);
      const tops = [...new Set(to.map((one) => topOf(one.to)))].filter(
        (name) => !name.endsWith('.ts'),
      );
      return `${top.padEnd(15)} ${String(own.length).padStart(3)} files  → ${tops.sort().join(', ') || 'nothing'}`;
    }),
  );
  lines.push(
    '',
    `${files.length} files, ${imports.length} imports, ${sizes.length} folders`,
    `circles of files: ${circles.length}, circles of folders: ${folderCircles.length}, upward imports: ${upward.length}`,
  );
  if (biggest) lines.push(`biggest folder: ${biggest[0]}, ${biggest[1].length} files side by side`);
  for (const circle of circles) lines.push(`circle: ${circle.join(', ')}`);
  for (const circle of folderCircles) lines.push(`folder circle: ${circle.join(', ')}`);
  for (const one of upward) lines.push(`upward: ${one}`);
  process.stdout.write(`${lines.join('\n')}\n`);
  return circles.length + upward.length > 0 ? 1 : 0;
}

/** The client is published by itself: it takes nothing of the engine and no package. @param {string} folder */
function printAlone(folder) {
  const graph = readGraph(folder);
  const [outward, circles] = [outwardOf(graph), circlesOf(graph.imports)];
  const lines = [
    `client: ${graph.files.length} files, circles: ${circles.length}, imports from outside: ${outward.length}`,
    ...outward.map((one) => `outside: ${one}`),
    ...circles.map((circle) => `circle: ${circle.join(', ')}`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  return outward.length + circles.length > 0 ? 1 : 0;
}

const [, script, folder] = process.argv;
if (script === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const isBroken = folder
    ? print(resolve(folder))
    : print(join(root, 'src')) + printAlone(join(root, 'client/src'));
  process.exitCode = isBroken > 0 ? 1 : 0;
}
