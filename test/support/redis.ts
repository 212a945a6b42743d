import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { inject } from 'vitest';
import { findRedisServer, type LocalServer } from '../../src/embedded/find-redis.mjs';
import { freePort } from '../../src/embedded/free-port.ts';
import {
  launchRedis,
  type RedisProcess,
  untilAnswering,
} from '../../src/embedded/redis-process.ts';

declare module 'vitest' {
  interface ProvidedContext {
    redisUrl: string;
    /** How the shared server was had, in words. */
    redisKind: string;
  }
}

/** Resolves once a connection can be used, also when that was before the call. */
export async function untilReady(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve) => redis.once('ready', () => resolve()));
}

/** The URL of the server that all test files share. Each test keeps to a namespace of its own. */
export function sharedRedisUrl(): string {
  return inject('redisUrl');
}

/** A redis-server of a test's own, to be killed, restarted and reconfigured at will. */
export type TestRedis = {
  url: string;
  host: string;
  port: number;
  password: string;
  folder: string;
  pid(): number;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** A clean shutdown. */
  stop(): Promise<void>;
  /** Starts it again on the same folder and port, once it has ended. */
  restart(): Promise<void>;
  /** Kills it and removes its folder. */
  remove(): Promise<void>;
};

export type TestRedisOptions = {
  /** Kept afterwards when given; else a temporary folder. */
  folder?: string;
  port?: number;
};

/** The redis-server that tests start as a child. */
export function localServer(): LocalServer {
  const found = findRedisServer({ env: process.env });
  if (found.kind === 'local') return found;
  throw new Error('no redis-server here: npm test sets one up, a bare vitest does not');
}

/**
 * Starts a redis-server child configured as the engine's own: append-only file, fsync always, no
 * eviction, loopback, a password.
 */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'flashdrop-test-redis-'));
  const port = options.port ?? (await freePort());
  const password = 'test-password-of-a-throwaway-server';
  const server = localServer();
  const launch = async () => {
    const launched = launchRedis({ server, folder, port, password, env: process.env });
    await untilAnswering(launched, { folder, password });
    return launched;
  };
  let redis = await launch();
  const end = async (signal: Parameters<RedisProcess['kill']>[0]) => {
    redis.kill(signal);
    await redis.ended;
  };
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    host: '127.0.0.1',
    port,
    password,
    folder,
    pid: () => redis.pid,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    async restart() {
      if (!redis.hasEnded()) await end('SIGTERM');
      redis = await launch();
    },
    async remove() {
      await end('SIGKILL');
      if (!options.folder) rmSync(folder, { recursive: true, force: true });
    },
  };
}
