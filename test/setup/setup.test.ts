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
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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

/** A program that calls itself a Redis of some version. */
function pretend(name: string, says: string): string {
  const bin = join(folder, name);
  mkdirSync(bin, { recursive: true });
  const path = join(bin, 'redis-server');
  writeFileSync(path, `#!/bin/sh\necho "${says}"\n`);
  chmodSync(path, 0o755);
  return path;
}

describe('finding a Redis server', () => {
  const hidden = { PATH: join('/nowhere') };

  test('looks in the usual places when the PATH does not show them', () => {
    const places = [resolve(localServer().path, '..')];
    expect(findRedisServer({ env: hidden, places })).toMatchObject({ kind: 'local' });
  });

  test('takes valkey-server as well', () => {
    const path = pretend('valkey', 'Valkey server v=8.0.1 sha=00000000:0 bits=64');
    const renamed = join(path, '..', 'valkey-server');
    writeFileSync(renamed, readFileSync(path), { mode: 0o755 });
    rmSync(path);
    const found = findRedisServer({ env: hidden, places: [join(renamed, '..')] });
    expect(found).toEqual({ kind: 'local', path: renamed, version: '8.0.1' });
  });

  test('passes over one that is too old and says so', () => {
    const old = pretend('old', 'Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc');
    const found = findRedisServer({ env: hidden, places: [join(old, '..')] });
    expect(found).toEqual({ kind: 'missing', rejected: [`${old} is 6.0.16`] });
  });

  test('takes the named one or none', () => {
    const env = { ...process.env, FLASHDROP_REDIS_SERVER: join(folder, 'nothing-here') };
    const found = findRedisServer({ env });
    expect(found).toMatchObject({ kind: 'missing' });
    expect(() => ensureRedis({ env })).toThrow(/Correct FLASHDROP_REDIS_SERVER/);
  });
});

describe('a machine without any Redis', () => {
  const env = { PATH: '/nowhere', FLASHDROP_NO_INSTALL: '1' };

  test('where nothing may be installed gets one line that names every way out', () => {
    expect(() => ensureRedis({ env, places: [] })).toThrow(
      /^no redis-server .* FLASHDROP_NO_INSTALL forbids .* Install Redis .*REDIS_URL=/,
    );
  });

  test('is told of the server that was too old', () => {
    const old = pretend('older', 'Redis server v=6.2.1 sha=00000000:0');
    expect(() => ensureRedis({ env, places: [join(old, '..')] })).toThrow(`${old} is 6.2.1`);
  });
});

describe('the locked dependencies', () => {
  /** A clone of which only what the set-up looks at is there, and an npm that notes its call. */
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

  test('are installed once, and again only when the lock has changed', () => {
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

  test('that cannot be had stop the set-up with one line', () => {
    const { root, env } = clone('clone offline');
    const failing = { ...env, NPM_FAILS: '1' };
    expect(() => ensureDependencies({ root, env: failing })).toThrow(/^npm ci failed/);
  });
});

test('on a machine that is ready the set-up says nothing', async () => {
  const { code, out, err } = await runProgram('scripts/setup.mjs', { args: ['test'] });
  expect({ code, out, err }).toEqual({ code: 0, out: '', err: '' });
});
