import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { type Config, readCommand } from '../../src/config/config.ts';
import { openRedis } from '../../src/engine/connections.ts';
import { openReleasers } from '../../src/engine/releasers.ts';
import { timeSteps } from '../../src/engine/start-steps.ts';
import { neededCommands } from '../../src/inventory/fitness-check.ts';
import { createLog } from '../../src/log.ts';
import { type BareRedis, startBareRedis } from '../support/bare-redis.ts';

const log = createLog('silent');
const closers: (() => unknown)[] = [];
afterEach(async () => {
  while (closers.length > 0) await closers.pop()?.();
});

async function bare(...options: Parameters<typeof startBareRedis>): Promise<BareRedis> {
  const redis = await startBareRedis(...options);
  closers.push(redis.stop);
  return redis;
}

function operator({ url }: { url: string }): Redis {
  const client = new Redis(url);
  closers.push(() => client.disconnect());
  return client;
}

function configOf(redisUrl: string): Config {
  const command = readCommand([], {
    REDIS_URL: redisUrl,
    DATABASE_URL: 'postgres://localhost/none',
    FLASHDROP_DEMO: 'on',
    FLASHDROP_JWT_SECRET: 'x'.repeat(32),
  });
  if (command.kind !== 'run') throw new Error(JSON.stringify(command));
  return command.config;
}

/** Opens Redis as a start does: undefined when it is taken, else the line that refuses it. */
async function refusalOf(redisUrl: string, onWait?: (text: string) => void) {
  const releasers = openReleasers(log);
  const start = { config: configOf(redisUrl), folder: undefined, log, onWait };
  try {
    await openRedis(start, timeSteps(), releasers);
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ name: 'StartError' });
    return (error as Error).message;
  } finally {
    await releasers.run();
  }
}

describe('A Redis that would fail in use is refused at the start, in one line that says what to do', () => {
  test('A node of a cluster is refused, since BullMQ would settle no order there', async () => {
    const { url, port } = await bare({ 'cluster-enabled': 'yes' });
    expect(await refusalOf(url)).toBe(
      `Redis at 127.0.0.1:${port}: it is a node of a cluster (cluster-enabled yes), where no order would be ` +
        'paid: use a server with cluster-enabled no',
    );
  });

  test('A replica is refused with the address of its master', async () => {
    const { url } = await bare({ replicaof: '127.0.0.1 9' });
    expect(await refusalOf(url)).toMatch(/it is a replica of 127\.0\.0\.1:9, .*REDIS_URL$/);
  });

  test('A user who may not run a command that orders need is refused with the command', async () => {
    const redis = await bare();
    const { port } = redis;
    const admin = operator(redis);
    await admin.acl('SETUSER', 'app', 'on', '>pw', '~*', '+@all', '-xadd', '-bzpopmin');
    const url = `redis://app:pw@127.0.0.1:${port}`;
    expect(await refusalOf(url)).toMatch(/may not run BZPOPMIN, XADD on our keys: .*ACL SETUSER/);
    await admin.acl('SETUSER', 'app', '+@all', 'resetkeys', '~fd:*');
    expect(await refusalOf(url)).toMatch(/may not run .* and \d+ more on our keys/);
    await admin.acl('SETUSER', 'app', '+@all', '-eval');
    expect(await refusalOf(url)).toMatch(/refuses a command that the engine needs \(NOPERM .*eval/);
    await admin.acl('SETUSER', 'app', '+@all', '-info');
    expect(await refusalOf(url)).toMatch(/refuses a command that the engine needs \(NOPERM .*info/);
    const rights =
      'resetkeys ~fd:* ~{fd}:* -@all +@read +@write +@scripting +@transaction +@blocking +@connection +info +time';
    await admin.acl('SETUSER', 'app', ...rights.split(' '));
    expect(await refusalOf(url)).toMatch(/could lose orders: .*not shown by this server/);
    await admin.acl('SETUSER', 'app', '+config|get');
    expect(await refusalOf(url)).toBeUndefined();
  });

  test('Wrong passwords, databases and programs are refused at once, each with what to correct', async () => {
    const { port } = await bare({ requirepass: 'right', databases: '4' });
    const at = `127.0.0.1:${port}`;
    expect(await refusalOf(`redis://${at}`)).toMatch(/it asks for a password/);
    expect(await refusalOf(`redis://:wrong@${at}`)).toMatch(/refuses the user or the password/);
    expect(await refusalOf(`redis://:right@${at}/7`)).toMatch(/does not have the database/);
    expect(await refusalOf(`rediss://:right@${at}`)).toMatch(
      /does not answer .*a port without TLS needs redis:/,
    );
    expect(await refusalOf(`redis://:right@${at}/3`)).toBeUndefined();
  });

  test('The list of commands that are checked has every command of our scripts and of BullMQ’s', () => {
    const folders = ['lua', 'lua/lib', 'node_modules/bullmq/dist/cjs/commands'];
    folders.push('node_modules/bullmq/dist/cjs/commands/includes');
    const texts = folders.flatMap((folder) =>
      readdirSync(folder)
        .filter((file) => file.endsWith('.lua'))
        .map((file) => readFileSync(join(folder, file), 'utf8')),
    );
    const called = texts.flatMap((text) =>
      [...text.matchAll(/(?:rcall|redis\.p?call)\(\s*["'](\w+)["']/g)].map(([, name]) => name),
    );
    const checked = new Set(neededCommands.map((line) => line.split(' ', 1)[0]));
    const missing = new Set(called.filter((name) => !checked.has(String(name).toLowerCase())));
    expect([...missing]).toEqual([]);
    expect(called.length).toBeGreaterThan(100);
  });
});

test('A start waits as long as Redis loads its data, and says so once', async () => {
  const first = await startBareRedis();
  const writer = new Redis(first.url);
  const pipeline = writer.pipeline();
  for (let n = 0; n < 5_000; n += 1) pipeline.set(`key ${n}`, 'x'.repeat(100));
  await pipeline.exec();
  writer.disconnect();
  await first.stop({ keep: true });
  // In µs per key. Between two times a thousand keys a server that loads answers nobody.
  const loading = { 'key-load-delay': '1000' };
  const { url, port } = await bare(loading, first.folder);
  const lines: string[] = [];
  expect(await refusalOf(url, (text) => lines.push(text))).toBeUndefined();
  expect(lines).toEqual([`waiting for Redis at 127.0.0.1:${port}: it loads its data`]);
});
