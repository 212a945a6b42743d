import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DataFolder, openFolder } from '../../src/embedded/folder.ts';
import { type EmbeddedRedis, startEmbeddedRedis } from '../../src/embedded/redis.ts';
import { eventually } from '../support/eventually.ts';
import { type Program, startProgram } from '../support/program.ts';

const log = { info: () => {}, warn: () => {} };

let parent: string;
let path: string;
let onEnd: (() => unknown)[];

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'flashdrop test redis '));
  path = join(parent, 'data');
  onEnd = [];
});
afterEach(async () => {
  for (const end of onEnd.reverse()) await end();
  rmSync(parent, { recursive: true, force: true });
});

async function open(): Promise<DataFolder> {
  const folder = await openFolder({ path, fresh: false });
  onEnd.push(folder.close);
  return folder;
}

async function start(folder: DataFolder): Promise<EmbeddedRedis> {
  const password = folder.secrets.redisPassword;
  const redis = await startEmbeddedRedis({ folder: folder.redis, password, env: process.env, log });
  onEnd.push(redis.stop);
  return redis;
}

function client(url: string): Redis {
  const connection = new Redis(url, { maxRetriesPerRequest: 0, commandTimeout: 2_000 });
  connection.on('error', () => {});
  onEnd.push(() => connection.disconnect());
  return connection;
}

function isAlive(pid: number): boolean {
  try {
    // A child that has ended but was not yet waited for is no longer running either.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('the embedded Redis', () => {
  test('The embedded Redis fsyncs what it acknowledges, evicts nothing and listens on loopback only', async () => {
    const redis = await start(await open());
    const connection = client(redis.url);
    const settings = ['appendonly', 'appendfsync', 'maxmemory-policy', 'bind', 'save'];
    const values = (await connection.config('GET', ...settings)) as string[];
    expect(
      Object.fromEntries(values.flatMap((v, i) => (i % 2 ? [] : [[v, values[i + 1]]]))),
    ).toEqual({
      appendonly: 'yes',
      appendfsync: 'always',
      'maxmemory-policy': 'noeviction',
      bind: '127.0.0.1',
      save: '',
    });
  });

  test('The embedded Redis requires its password, which only the owner of the folder can read', async () => {
    const folder = await open();
    const redis = await start(folder);
    const url = new URL(redis.url);
    url.password = '';
    await expect(client(url.href).ping()).rejects.toThrow(/NOAUTH/);
    expect(statSync(join(folder.redis, 'redis.conf')).mode & 0o777).toBe(0o600);
  });

  test('An embedded Redis that was killed is restarted on the same port with its data', async () => {
    const redis = await start(await open());
    const connection = client(redis.url);
    await connection.set('unit', 'held');
    const killed = redis.pid();
    process.kill(killed, 'SIGKILL');
    expect(await eventually(() => connection.get('unit'))).toBe('held');
    expect(redis.pid()).not.toBe(killed);
  });

  test('A stop shuts the embedded Redis down cleanly and does not restart it', async () => {
    const redis = await start(await open());
    const pid = redis.pid();
    await redis.stop();
    expect(isAlive(pid)).toBe(false);
    const logged = readFileSync(join(path, 'redis', 'redis.log'), 'utf8');
    expect(logged).toContain('Redis is now ready to exit');
  });

  test('An embedded Redis that cannot start reports why', async () => {
    const folder = await open();
    const start = startEmbeddedRedis({
      folder: folder.redis,
      password: 'two words are too many',
      env: process.env,
      log,
    });
    await expect(start).rejects.toThrow(/embedded redis-server ended .*argument/);
  });
});

describe.skipIf(process.platform !== 'linux')('an engine killed with -9', () => {
  async function holdFolder(): Promise<{ engine: Program; url: string; pid: number }> {
    const engine = startProgram('test/setup/hold-folder.ts', { args: [path] });
    onEnd.push(() => engine.kill('SIGKILL'));
    const line = await eventually(
      () =>
        engine
          .printed()
          .out.split('\n')[0]
          ?.match(/^{.*}$/)?.[0],
    );
    return { engine, ...(JSON.parse(line) as { url: string; pid: number }) };
  }

  test('After a kill -9 the next start shuts down the Redis that was left, with every write kept', async () => {
    const { engine, url, pid } = await holdFolder();
    await client(url).set('unit', 'held');
    engine.kill('SIGKILL');
    await engine.ended;
    expect(isAlive(pid)).toBe(true);
    const folder = await open();
    expect(isAlive(pid)).toBe(false);
    const redis = await start(folder);
    expect(await client(redis.url).get('unit')).toBe('held');
  });

  test('After a kill -9 the next start ends the Redis that was left even when it hangs', async () => {
    const { engine, pid } = await holdFolder();
    engine.kill('SIGKILL');
    await engine.ended;
    process.kill(pid, 'SIGSTOP');
    await open();
    expect(isAlive(pid)).toBe(false);
  });

  test('An engine that still runs keeps its folder, and the refusal of a second one names its pid', async () => {
    const { engine } = await holdFolder();
    await expect(openFolder({ path, fresh: false })).rejects.toThrow(`process ${engine.pid}`);
    engine.kill('SIGTERM');
    await engine.ended;
    (await openFolder({ path, fresh: false })).close();
  });
});
