import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseEnvFile, readEnvFile } from '../../src/config/env-file.mjs';
import { runProgram } from '../support/program.ts';

const main = 'src/main.ts';
const parse = (text: string) => parseEnvFile(Buffer.from(text), '.env');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flashdrop test env '));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const text = 'REDIS_URL=redis://cache:6379\r\nexport FLASHDROP_PORT = 8081\r\n';
const swapped = (bytes: Buffer) => Buffer.from(bytes).swap16();
const encodings: [what: string, bytes: Buffer][] = [
  ['UTF-8', Buffer.from(text)],
  ['UTF-8 with a byte order mark', Buffer.from(`\ufeff${text}`)],
  ['UTF-16 of Windows', Buffer.from(`\ufeff${text}`, 'utf16le')],
  ['UTF-16 of Windows without a mark', Buffer.from(text, 'utf16le')],
  ['big-endian UTF-16', swapped(Buffer.from(`\ufeff${text}`, 'utf16le'))],
  ['big-endian UTF-16 without a mark', swapped(Buffer.from(text, 'utf16le'))],
];

describe('the encodings of an environment file', () => {
  test.each(encodings)('An environment file in %s sets what it says', (_what, bytes) => {
    expect(parseEnvFile(bytes, '.env')).toEqual({
      values: { REDIS_URL: 'redis://cache:6379', FLASHDROP_PORT: '8081' },
      problems: [],
    });
  });

  test('An environment file in another encoding is refused whole', () => {
    const gbk = Buffer.concat([Buffer.from('A=1\n# '), Buffer.from([0xc3, 0xeb, 0xc9, 0xb1])]);
    for (const bytes of [gbk, Buffer.from('A=1\n\0')]) {
      expect(parseEnvFile(bytes, '.env')).toEqual({
        values: {},
        problems: ['.env is neither UTF-8 nor UTF-16 text: save it as UTF-8'],
      });
    }
  });

  test('A start with an environment file in UTF-16 uses it, and does not start the embedded demo', async () => {
    const settings = '\ufeffREDIS_URL=http://cache:6379\r\nFLASHDROP_HOST=a b\r\n';
    writeFileSync(join(folder, '.env'), Buffer.from(settings, 'utf16le'));
    const { code, err } = await runProgram(main, { args: [], cwd: folder });
    expect(code).toBe(2);
    expect(err).toMatch(/^flashdrop: REDIS_URL is "http:\/\/…"/);
    expect(err).toContain('FLASHDROP_HOST is "a b"');
  });
});

describe('the lines of an environment file', () => {
  test('An environment file is read as Node reads it, comments and quotes over several lines among it', () => {
    const lines = [
      '# a comment',
      '',
      'A=1   # a comment',
      '  export B = "x # y" # a comment',
      "C='x\\ny'",
      'D="x\\ny"',
      'KEY="-----BEGIN\nabc\n-----END"',
      'E=',
      'F= # nothing',
      'G=a=b c',
      'H=`"`',
      'I.j=2 #3',
    ].join('\n');
    expect(parse(lines)).toEqual({ values: { ...parseEnv(lines) }, problems: [] });
  });

  test.each([
    ['a # that would cut a secret', 'FLASHDROP_JWT_SECRET=abc#def', /FLASHDROP_JWT_SECRET.*#/],
    ['a # behind a blank of a secret', 'POSTGRES_PASSWORD=abc #def', /POSTGRES_PASSWORD.*#/],
    ['a # that begins a secret', 'FLASHDROP_OPERATOR_KEY=#abc', /FLASHDROP_OPERATOR_KEY.*#/],
    ['a # in the password of a URL', 'REDIS_URL=redis://:a#b@c', /REDIS_URL.*#/],
    ['a # in any value', 'FLASHDROP_DATA=./a#b', /FLASHDROP_DATA.*#/],
    ['a quote that is not closed', 'FLASHDROP_JWT_SECRET="abc', /no closing quote/],
    ['a quote inside a quoted value', 'FLASHDROP_JWT_SECRET="a"b"', /after its closing quote/],
    ['a name twice with two values', 'FLASHDROP_PORT=1\nFLASHDROP_PORT=2', /line 2.*second time/],
    ['a colon in place of =', 'FLASHDROP_PORT: 8080', /line 1.*NAME=value/],
    ['a name alone', 'FLASHDROP_PORT', /line 1.*NAME=value/],
    ['no name', '=8080', /line 1.*NAME=value/],
  ])(
    'In an environment file %s is refused in one line, which never shows the value',
    (_what, content, says) => {
      const { problems } = parse(content);
      expect(problems).toEqual([expect.stringMatching(says)]);
      expect(problems.join()).not.toMatch(/abc|def|a#b/);
    },
  );

  test('The same name twice with one value is no problem', () => {
    expect(parse('A=1\nA="1"').problems).toEqual([]);
  });

  test('Without an environment file nothing is set, and one that cannot be read is refused', () => {
    expect(readEnvFile(join(folder, 'none'))).toEqual({ values: {}, problems: [] });
    mkdirSync(join(folder, 'a-folder'));
    expect(readEnvFile(join(folder, 'a-folder')).problems).toEqual([
      expect.stringContaining('cannot be read: it is a folder'),
    ]);
  });
});

test('A start with an empty DATABASE_URL in its environment file ends with one line, and embeds nothing', async () => {
  writeFileSync(join(folder, '.env'), 'DATABASE_URL= # of production\n');
  const { code, err, out } = await runProgram(main, { args: [], cwd: folder });
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(
    /^flashdrop: DATABASE_URL is set but empty: write a URL.*, or remove it.*\n$/,
  );
  expect(readdirSync(folder)).not.toContain('data');
});

test('A start with a problem in its environment file ends with one line and leaves nothing behind', async () => {
  writeFileSync(join(folder, '.env'), 'FLASHDROP_OPERATOR_KEY=abc#def\n');
  const { code, err, out } = await runProgram(main, { args: [], cwd: folder });
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(/^flashdrop: \.env line 1: the value of FLASHDROP_OPERATOR_KEY.*\n$/);
});
