import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCommand } from '../../src/config/config.ts';
import { explainTls, placeOf, readStoreAddress } from '../../src/config/tls.ts';

let folder: string;
let ca: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flashdrop-test-tls-'));
  ca = join(folder, 'ca.pem');
  writeFileSync(ca, '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('The words about TLS of a store’s URL decide what is verified, and no driver sees them', () => {
  const strict = { rejectUnauthorized: true };
  const cases: [url: string, address: ReturnType<typeof readStoreAddress>][] = [
    ['redis://h:1/2', { url: 'redis://h:1/2', tls: undefined }],
    ['rediss://h:1/2', { url: 'redis://h:1/2', tls: strict }],
    ['postgres://h/db', { url: 'postgres://h/db', tls: undefined }],
    ['postgres://h/db?sslmode=disable', { url: 'postgres://h/db', tls: undefined }],
    ['postgres://h/db?sslmode=require', { url: 'postgres://h/db', tls: strict }],
    ['postgres://h/db?ssl=true&a=b', { url: 'postgres://h/db?a=b', tls: strict }],
    [
      'postgres://h/db?sslmode=no-verify',
      { url: 'postgres://h/db', tls: { rejectUnauthorized: false } },
    ],
  ];
  for (const [url, address] of cases) expect(readStoreAddress(url), url).toEqual(address);
  const verified = readStoreAddress(`rediss://h:1?sslmode=verify-ca&sslrootcert=${ca}`).tls;
  expect(verified).toMatchObject({ ...strict, ca: expect.stringContaining('BEGIN CERTIFICATE') });
  expect(verified?.checkServerIdentity?.('h', Object.create(null))).toBeUndefined();
});

test('Wrong words about TLS are refused before anything starts, each with what to write', () => {
  const problemsOf = (env: Record<string, string>) => {
    const command = readCommand([], { FLASHDROP_DEMO: 'on', ...env });
    return command.kind === 'refused' ? command.problems : [];
  };
  expect(problemsOf({ DATABASE_URL: 'postgres://h/db?sslmode=prefer' })).toEqual([
    'DATABASE_URL has sslmode=prefer: it must be disable, require, verify-ca, verify-full, no-verify',
  ]);
  expect(problemsOf({ REDIS_URL: `redis://h?sslrootcert=${ca}` })).toEqual([
    'REDIS_URL has sslrootcert without TLS: write rediss:// for redis://',
  ]);
  const none = join(folder, 'none.pem');
  expect(problemsOf({ REDIS_URL: `rediss://h?sslrootcert=${none}` })).toEqual([
    `REDIS_URL has sslrootcert=${none}: the file cannot be read (ENOENT)`,
  ]);
  expect(problemsOf({ DATABASE_URL: `postgres://h/db?sslcert=${ca}` })).toEqual([
    'DATABASE_URL has sslcert without sslkey, or the reverse: write both or neither',
  ]);
});

test('A socket’s path with an empty host is a place, and a place shows no password', () => {
  expect(placeOf('postgres://app:secret@/db?host=/var/run/postgresql')).toBe('/var/run/postgresql');
  expect(placeOf('rediss://:secret@redis.internal:6380/1')).toBe('redis.internal:6380');
  const env = { DATABASE_URL: 'postgres://app@/db?host=/var/run/postgresql', FLASHDROP_DEMO: 'on' };
  expect(readCommand([], env)).toMatchObject({ kind: 'run' });
});

test('An error of TLS is explained with what to write', () => {
  const failed = (code: string) => Object.assign(new Error('no'), { code });
  expect(explainTls(failed('SELF_SIGNED_CERT_IN_CHAIN'))).toContain('sslrootcert=');
  expect(explainTls(failed('ERR_TLS_CERT_ALTNAME_INVALID'))).toContain('sslmode=verify-ca');
  expect(explainTls(failed('ECONNREFUSED'))).toBeUndefined();
});
