import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openFolder } from '../../src/embedded/folder.ts';
import { runProgram } from '../support/program.ts';
import { startRedis } from '../support/redis.ts';

let parent: string;
let data: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'flashdrop test start '));
  data = join(parent, 'data');
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

function start(...args: string[]) {
  return runProgram('src/main.ts', { args: ['--data', data, '--port', '0', ...args] });
}

/** A listener on a port of its own. */
async function occupy(): Promise<{ server: Server; port: number }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('bug: no TCP address');
  return { server, port: address.port };
}

describe('a start that fails', () => {
  test('A start on a port in use names the flag that chooses another', async () => {
    const { server, port } = await occupy();
    const { code, err } = await start('--port', String(port));
    server.close();
    expect({ code, err }).toEqual({
      code: 1,
      err: `flashdrop: port ${port} on 127.0.0.1 is in use: choose another with --port PORT, or --port 0 for any\n`,
    });
  });

  test('A start on a folder in use names the pid and the address of the instance, and what to do', async () => {
    const folder = await openFolder({ path: data, fresh: false });
    folder.announce('http://127.0.0.1:4711');
    const { code, err } = await start();
    folder.close();
    expect(code).toBe(1);
    expect(err).toMatch(
      new RegExp(`^flashdrop: .* process ${process.pid} at http://127.0.0.1:4711: .*--data.*\n$`),
    );
  });

  test('A Redis that fsyncs late is refused in one line, and the ledger is left as it was', async () => {
    const redis = await startRedis();
    const client = new Redis(redis.url);
    await client.config('SET', 'appendfsync', 'everysec');
    client.disconnect();
    const { code, err } = await runProgram('src/main.ts', {
      args: ['--data', data, '--port', '0'],
      env: { REDIS_URL: redis.url, FLASHDROP_DEMO: 'on', FLASHDROP_LOG_LEVEL: 'silent' },
    });
    await redis.remove();
    expect(code).toBe(1);
    expect(err).toMatch(
      /^flashdrop: Redis at .* could lose orders: .*appendfsync everysec.*FLASHDROP_ALLOW_UNSAFE_REDIS=everysec\n$/,
    );
    expect(existsSync(join(data, 'ledger'))).toBe(false);
  });

  test('A start with a file as data folder says so in one line', async () => {
    writeFileSync(data, '');
    const { code, err } = await start();
    expect(code).toBe(1);
    expect(err).toMatch(/^flashdrop: .*it is a file.*--data.*\n$/);
  });

  test('A start on an address that this machine does not have names --host', async () => {
    const { code, err } = await runProgram('src/main.ts', {
      args: ['--data', data, '--host', '192.0.2.1'],
      env: { FLASHDROP_DEMO: 'on' },
    });
    expect(code).toBe(1);
    expect(err).toMatch(/^flashdrop: cannot listen on 192\.0\.2\.1:8080 .*--host.*\n$/);
  });
});

test('Wrong settings and flags are all reported, one line each, before anything starts', async () => {
  const { code, out, err } = await runProgram('src/main.ts', {
    args: ['--prot', '8081', '--data', data],
    env: { FLASHDROP_ROLE: 'boss', FLASHDROP_LOGLEVEL: 'info', FLASHDROP_JWT_SECRET: 'short' },
  });
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err.trimEnd().split('\n')).toEqual([
    expect.stringMatching(/^flashdrop: FLASHDROP_ROLE is "boss"/),
    expect.stringMatching(/^flashdrop: FLASHDROP_JWT_SECRET is 5 bytes long/),
    'flashdrop: FLASHDROP_LOGLEVEL is no setting; did you mean FLASHDROP_LOG_LEVEL?',
    'flashdrop: --prot is no flag; did you mean --port?',
  ]);
});

test('--help and --version print without starting anything', async () => {
  const help = await start('--help');
  expect(help).toMatchObject({ code: 0, err: '' });
  expect(help.out).toContain('--port PORT');
  expect(await start('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\./) });
});
