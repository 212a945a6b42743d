import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../src/embedded/free-port.ts';
import { eventually } from './eventually.ts';
import { localServer } from './redis.ts';

export type BareRedis = {
  host: string;
  port: number;
  folder: string;
  url: string;
  /** Ends it and waits for its end. Its folder stays unless `keep` is left out. */
  stop(options?: { keep: boolean }): Promise<void>;
};

/**
 * Starts a redis-server as an operator might have it: with safe settings, changed by `settings`, as
 * they stand in redis.conf. Resolves once it answers; on a folder of before, which it loads first, at once.
 */
export async function startBareRedis(
  settings: Record<string, string> = {},
  loaded?: string,
): Promise<BareRedis> {
  const folder = loaded ?? mkdtempSync(join(tmpdir(), 'flashdrop-bare-redis-'));
  const port = await freePort();
  const all = {
    port: String(port),
    bind: '127.0.0.1',
    appendonly: 'yes',
    appendfsync: 'always',
    save: '',
    'maxmemory-policy': 'noeviction',
    ...settings,
  };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, ...value.split(' ')]);
  const server = spawn(localServer().path, args, { cwd: folder, stdio: 'ignore' });
  if (loaded === undefined) await untilHeard(port);
  return {
    host: '127.0.0.1',
    port,
    folder,
    url: `redis://127.0.0.1:${port}`,
    async stop({ keep } = { keep: false }) {
      await end(server);
      if (!keep) rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function untilHeard(port: number): Promise<void> {
  const client = new Redis(port, { enableReadyCheck: false, lazyConnect: true });
  client.on('error', () => {});
  try {
    await eventually(() =>
      client.ping().then(
        () => true,
        (error: Error) => error.name === 'ReplyError',
      ),
    );
  } finally {
    client.disconnect();
  }
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGKILL');
  await ended;
}
