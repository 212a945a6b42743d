import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type LaneKey, laneKeyNames } from '../../src/inventory/keys.ts';
import { type ScriptName, scriptFiles, scripts, scriptText } from '../../src/inventory/scripts.ts';

const names = Object.keys(scripts) as ScriptName[];
const sections = ['KEYS', 'ARGV', 'Replies', 'Invariant'];
const readme = read('README.md');
/** Lines of code, comments apart. Half of the scripts have at most 30. */
const linesMax = 90;

function read(file: string): string {
  return readFileSync(new URL(`../../lua/${file}`, import.meta.url), 'utf8');
}

/** A header's parts: its purpose, and what stands behind each name of `sections`. */
function headerOf(name: string): { order: string[]; parts: Record<string, string> } {
  const parts: Record<string, string> = { purpose: '' };
  const order: string[] = [];
  let part = 'purpose';
  for (const line of read(`${name}.lua`).split('\n').slice(1)) {
    const text = /^-- ?(.*)$/.exec(line)?.[1];
    if (text === undefined || text.startsWith('include: ')) break;
    const [, begun, rest] = /^([A-Z]\w+): (.*)$/.exec(text) ?? [];
    if (begun) order.push(begun);
    if (begun) part = begun;
    parts[part] = `${parts[part] ?? ''}${rest ?? text}\n`;
  }
  return { order, parts };
}

/** The words a header's Replies tell: quoted ones that begin a reply, and the list of results. */
function wordsOfHeader(replies: string): Set<string> {
  const quoted = [...replies.matchAll(/(?:\{|\| )'(\w+)'/g)].map((match) => match[1] as string);
  const list = /joined by '\|':\n((?: {2}.*\n)+)/.exec(replies)?.[1] ?? '';
  const listed = list
    .split('\n')
    .filter((line) => !/^ +(\w+:|or )/.test(line))
    .flatMap((line) => line.split(/ {2,}/))
    .flatMap((result) => /^[a-z_]+/.exec(result)?.[0] ?? []);
  return new Set([...quoted, ...listed]);
}

/** The words the code itself can answer. */
function wordsOfCode(name: string): Set<string> {
  const answers = /(?:return (?:\{ )?|status = |reply = \{\s*|records\[digest\], )'([a-z_]+)/g;
  const words = [...read(`${name}.lua`).matchAll(answers)].map((match) => match[1] as string);
  const also = [...read(`${name}.lua`).matchAll(/^ {2}'(done)', now/gm)].map(() => 'done');
  return new Set([...words, ...also]);
}

/** A batched script's own word says only that the batch was judged; the table lists the results. */
function wordsOfTable(name: ScriptName): Set<string> {
  const batched = headerOf(name).parts['Replies']?.match(/a result for each (order|buyer)/);
  return new Set([...scripts[name].replies, ...(batched ? ['done'] : [])]);
}

test('The table of scripts lists every file in lua/', () => {
  expect(new Set(scriptFiles())).toEqual(new Set(names));
});

test.for(names)('The header of %s has its parts in order', (name) => {
  const { order, parts } = headerOf(name);
  expect(order).toEqual(sections);
  for (const part of ['purpose', ...sections]) expect(parts[part]?.trim(), part).toBeTruthy();
});

test.for(names)('The header of %s, the table and the code agree on the replies', (name) => {
  const words = wordsOfTable(name);
  expect(wordsOfHeader(headerOf(name).parts['Replies'] ?? '')).toEqual(words);
  expect(wordsOfCode(name)).toEqual(words);
});

test.for(names)('The header of %s, the table and the code agree on the keys', (name) => {
  const keys: readonly LaneKey[] = scripts[name].keys;
  expect(headerOf(name).parts['KEYS']?.trim().split(' ')).toEqual(keys);
  const code = read(`${name}.lua`).replace(/^--.*$/gm, '');
  const used = [...code.matchAll(/KEYS\[(\w+)\]/g)].map((match) => match[1]);
  expect(new Set(used)).toEqual(new Set(keys.map((_, i) => String(i + 1))));
  // A local that is named after a key stands for that key.
  const named = [...code.matchAll(/^local ([\w, ]+?) =\s+(KEYS\[\d\](?:, KEYS\[\d\])*)$/gm)];
  for (const [, locals = '', values = ''] of named) {
    const expected = locals.split(', ').map((local) => {
      return `KEYS[${keys.indexOf(local.replace(/Key$/, '') as LaneKey) + 1}]`;
    });
    expect(values.split(', ')).toEqual(expected);
  }
  for (const [, field, number] of code.matchAll(/\b([a-z]+) = KEYS\[(\d)\]/g)) {
    expect(keys[Number(number) - 1]).toBe(field);
  }
});

test.for(names)('The script %s uses only the keys that it was given', (name) => {
  const text = scriptText(name).replace(/^--.*$/gm, '');
  for (const [call, verb, first] of text.matchAll(/redis\.p?call\(\s*'(\w+)'(?:, *([^,)]+))?/g)) {
    if (verb === 'TIME') continue;
    const given = verb === 'XINFO' ? /'XINFO', 'STREAM', (KEYS\[\d\])/.exec(text)?.[1] : first;
    expect(given, call).toMatch(/^(KEYS\[\d\]|keys\.[a-z]+|[a-z]+Key)$/);
  }
});

test.for(names)('The script %s starts with #!lua', (name) => {
  expect(read(`${name}.lua`)).toMatch(/^#!lua( flags=[a-z-]+)?\n/);
});

test('The scripts are short', () => {
  const lines = names.map((name) => {
    const code = read(`${name}.lua`).split('\n').slice(1);
    return code.filter((line) => line.trim() !== '' && !line.trim().startsWith('--')).length;
  });
  expect(Math.max(...lines)).toBeLessThanOrEqual(linesMax);
  expect(lines.filter((count) => count <= 30).length).toBeGreaterThanOrEqual(lines.length / 2);
});

test('Scripts that end orders may run without free memory, and those that add something may not', () => {
  const flags = names.map((name) => [name, /^#!lua(?: flags=(.*))?\n/.exec(scriptText(name))?.[1]]);
  expect(Object.fromEntries(flags)).toEqual({
    reserve: undefined,
    adjust: undefined,
    appoint: undefined,
    unappoint: undefined,
    publish: undefined,
    confirm: 'allow-oom',
    release: 'allow-oom',
    refund: 'allow-oom',
    writeoff: 'allow-oom',
    defer: 'allow-oom',
    shorten: 'allow-oom',
    sweep: 'allow-oom',
    inspect: 'no-writes',
  });
});

test('lua/README.md lists the keys of a lane', () => {
  const table = readme.slice(readme.indexOf('## Keys of a lane'), readme.indexOf('`<i>` is'));
  const rows = [...table.matchAll(/^\| (\w+) \|/gm)].map((match) => match[1] as string);
  expect(rows.filter((row) => row !== 'name')).toEqual(laneKeyNames);
});

test('lua/README.md lists the reply words of each script', () => {
  const table = readme.slice(readme.indexOf('## Reply words'));
  const rows = [...table.matchAll(/^\| (\w+) \| (.*) \|$/gm)].filter(([, row]) => row !== 'script');
  const listed = rows.map(([, row, words]) => [
    row,
    [...(words as string).matchAll(/`(\w+)`/g)].map((match) => match[1]),
  ]);
  expect(Object.fromEntries(listed)).toEqual(
    Object.fromEntries(names.map((name) => [name, scripts[name].replies])),
  );
});
