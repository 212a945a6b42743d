import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { ensureDependencies } from '../../scripts/setup/dependencies.mjs';
import { ensureRedis } from '../../scripts/setup/redis.mjs';
import { findRedisServer } from '../../src/embedded/find-redis.mjs';
import { runProgram } from '../support/program.ts';
import { localServer } from '../support/redis.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flashdrop test set-up '));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a program that answers `--version` with `says`; returns its path. */
function pretend(name: string, says: string): string {
  const bin = join(folder, name);
  mkdirSync(bin, { recursive: true });
  const path = join(bin, 'redis-server');
  writeFileSync(path, `#!/bin/sh\necho "${says}"\n`);
  chmodSync(path, 0o755);
  return path;
}

/** A PATH on which there is no program. */
const emptyPath = { PATH: '/nowhere' };

test('The set-up finds a Redis server in the usual folders when PATH lacks them', () => {
  const places = [resolve(localServer().path, '..')];
  expect(findRedisServer({ env: emptyPath, places })).toMatchObject({ kind: 'local' });
});

test('The set-up accepts valkey-server as well', () => {
  const path = pretend('valkey', 'Valkey server v=8.0.1 sha=00000000:0 bits=64');
  const renamed = join(path, '..', 'valkey-server');
  writeFileSync(renamed, readFileSync(path), { mode: 0o755 });
  rmSync(path);
  const found = findRedisServer({ env: emptyPath, places: [join(renamed, '..')] });
  expect(found).toEqual({ kind: 'local', path: renamed, version: '8.0.1' });
});

test('A Redis server that is too old is rejected, and the reason names its version', () => {
  const old = pretend('old', 'Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc');
  const found = findRedisServer({ env: emptyPath, places: [join(old, '..')] });
  expect(found).toEqual({ kind: 'missing', rejected: [`${old} is 6.0.16`] });
});

test('FLASHDROP_REDIS_SERVER selects that server or none', () => {
  const env = { ...process.env, FLASHDROP_REDIS_SERVER: join(folder, 'nothing-here') };
  const found = findRedisServer({ env });
  expect(found).toMatchObject({ kind: 'missing' });
  expect(() => ensureRedis({ env })).toThrow(/Correct FLASHDROP_REDIS_SERVER/);
});

const noInstall = { PATH: '/nowhere', FLASHDROP_NO_INSTALL: '1' };

test('Without a Redis server and with installing forbidden, one line names every way out', () => {
  expect(() => ensureRedis({ env: noInstall, places: [] })).toThrow(
    /^no redis-server .* FLASHDROP_NO_INSTALL forbids .* Install Redis .*REDIS_URL=/,
  );
});

test('Where the only Redis server is too old, the error names it and its version', () => {
  const old = pretend('older', 'Redis server v=6.2.1 sha=00000000:0');
  const places = [join(old, '..')];
  expect(() => ensureRedis({ env: noInstall, places })).toThrow(`${old} is 6.2.1`);
});

/** A clone with only the files that the set-up reads, and an npm that records its call. */
function clone(name: string) {
  const root = join(folder, name);
  mkdirSync(root);
  writeFileSync(join(root, 'package-lock.json'), '{}');
  const npm = join(root, 'npm.mjs');
  const calls = join(root, 'calls');
  writeFileSync(
    npm,
    `import { mkdirSync, writeFileSync } from 'node:fs';
     writeFileSync(${JSON.stringify(calls)}, process.argv.slice(2).join(' '));
     if (process.env.NPM_FAILS) { console.error('registry unreachable'); process.exit(1); }
     mkdirSync(${JSON.stringify(join(root, 'node_modules'))}, { recursive: true });
     writeFileSync(${JSON.stringify(join(root, 'node_modules/.package-lock.json'))}, '{}');`,
  );
  return { root, calls, env: { ...process.env, npm_execpath: npm } };
}

test('The locked dependencies are installed once, and again only when the lock has changed', () => {
  const { root, calls, env } = clone('clone once');
  ensureDependencies({ root, env });
  expect(readFileSync(calls, 'utf8')).toMatch(/^ci --ignore-scripts/);
  rmSync(calls);
  ensureDependencies({ root, env });
  expect(existsSync(calls)).toBe(false);
  const later = new Date(Date.now() + 60_000);
  utimesSync(join(root, 'package-lock.json'), later, later);
  ensureDependencies({ root, env });
  expect(existsSync(calls)).toBe(true);
});

test('An installation of the dependencies prints how long it took', () => {
  const { root, env } = clone('clone timed');
  const lines: unknown[] = [];
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((line) => {
    lines.push(line);
    return true;
  });
  onTestFinished(() => write.mockRestore());
  ensureDependencies({ root, env });
  expect(lines).toEqual([
    'setup: installing the locked dependencies\n',
    expect.stringMatching(/^setup: installed the locked dependencies {2}\d+\.\d s\n$/),
  ]);
});

test('An installation of the dependencies that fails stops the set-up with one line', () => {
  const { root, env } = clone('clone offline');
  const failing = { ...env, NPM_FAILS: '1' };
  expect(() => ensureDependencies({ root, env: failing })).toThrow(/^npm ci failed/);
});

test('On a machine that lacks nothing the set-up prints nothing', async () => {
  const { code, out, err } = await runProgram('scripts/setup.mjs', { args: ['test'] });
  expect({ code, out, err }).toEqual({ code: 0, out: '', err: '' });
});
