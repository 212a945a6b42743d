import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findRedisServer } from '../../../src/embedded/find-redis.mjs';
import { freePort } from '../../../src/embedded/free-port.ts';
import { launchRedis, untilAnswering } from '../../../src/embedded/redis-process.ts';

export type BenchRedis = {
  url: string;
  connect(): Redis;
  version(): Promise<string>;
  /** Processor time the server has used, its rewrites of the append-only file included, microseconds. */
  cpuMicros(): Promise<number>;
  /** Bytes its data takes, as the server counts them. */
  usedBytes(): Promise<number>;
  /** Resolves once no rewrite of the append-only file is under way. */
  untilQuiet(): Promise<void>;
  /** Forgets its data. */
  empty(): Promise<void>;
  stop(): Promise<void>;
};

/** A redis-server of the bench's own, configured as `npm start` does: fsync at every write. */
export async function startRedis(): Promise<BenchRedis> {
  const server = findRedisServer({ env: process.env });
  if (server.kind !== 'local') throw new Error('no redis-server here: npm run bench sets one up');
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-bench-'));
  const port = await freePort();
  const password = 'bench-only';
  const redis = launchRedis({ server, folder, port, password, env: process.env });
  await untilAnswering(redis, { folder, password });
  const url = `redis://:${password}@127.0.0.1:${port}`;
  const admin = new Redis(url);

  async function info(section: string, name: string): Promise<string> {
    const text = await admin.info(section);
    return new RegExp(`^${name}:(.+?)\r?$`, 'm').exec(text)?.[1] ?? '';
  }

  return {
    url,
    connect: () => new Redis(url),
    version: () => info('server', 'redis_version'),
    async cpuMicros() {
      const text = await admin.info('cpu');
      const times = text.matchAll(/^used_cpu_(?:user|sys)(?:_children)?:(.+?)\r?$/gm);
      return [...times].reduce((sum, [, seconds]) => sum + Number(seconds), 0) * 1e6;
    },
    usedBytes: async () => Number(await info('memory', 'used_memory')),
    async untilQuiet() {
      const busy = async () =>
        (await info('persistence', 'aof_rewrite_in_progress')) === '1' ||
        (await info('persistence', 'aof_rewrite_scheduled')) === '1';
      while (await busy()) await wait(100);
    },
    async empty() {
      await admin.flushall();
    },
    async stop() {
      admin.disconnect();
      redis.kill('SIGTERM');
      await redis.ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
