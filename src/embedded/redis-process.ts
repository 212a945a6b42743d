import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { StartError } from '../start-error.ts';
import type { Environment, RedisServer } from './find-redis.mjs';

/** A running redis-server child. */
export type RedisProcess = {
  pid: number;
  port: number;
  /** Resolves once the process has ended, with the signal, exit code or error. */
  ended: Promise<string>;
  hasEnded(): boolean;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
};

export type RedisLaunch = {
  server: RedisServer;
  /** Its folder, with configuration, append-only file and log. */
  folder: string;
  port: number;
  password: string;
  env: Environment;
};

export const fileNames = { config: 'redis.conf', log: 'redis.log', child: 'child.json' } as const;

/** Content of `child.json`, by which a later start finds an orphan. */
export type ChildRecord = { pid: number; port: number; kind: RedisServer['kind'] };

/** The folder's path inside a container. */
export const containerFolder = '/data';

const logBytesMax = 4 * 1024 * 1024;

/** Starts a redis-server whose every acknowledged write is on disk. It may not answer yet. */
export function launchRedis(launch: RedisLaunch): RedisProcess {
  const { folder, port, server } = launch;
  const log = join(folder, fileNames.log);
  writeFileSync(join(folder, fileNames.config), configuration(launch), { mode: 0o600 });
  if ((statSync(log, { throwIfNoEntry: false })?.size ?? 0) > logBytesMax) {
    renameSync(log, `${log}.1`);
  }
  const { command, args } = commandLine(launch);
  const output = openSync(log, 'a', 0o600);
  // A process group of its own: Ctrl-C goes to the terminal's whole group, and the drain needs Redis.
  const child = spawn(command, args, {
    cwd: folder,
    env: server.kind === 'docker' ? launch.env : { PATH: launch.env['PATH'] },
    detached: true,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  const { ended, hasEnded } = observeEnd(child);
  const pid = child.pid ?? 0;
  const record: ChildRecord = { pid, port, kind: server.kind };
  writeFileSync(join(folder, fileNames.child), JSON.stringify(record), { mode: 0o600 });
  const kill = (signal: 'SIGTERM' | 'SIGKILL') => {
    // The docker client forwards SIGTERM to the server, but SIGKILL cannot be forwarded.
    if (server.kind === 'docker' && signal === 'SIGKILL' && !hasEnded()) {
      spawn('docker', ['kill', containerName(port)], { env: launch.env, stdio: 'ignore' });
    }
    child.kill(signal);
  };
  return { pid, port, ended, hasEnded, kill };
}

function observeEnd(child: ChildProcess): Pick<RedisProcess, 'ended' | 'hasEnded'> {
  let over = false;
  const ended = new Promise<string>((resolve) => {
    const end = (how: string) => {
      over = true;
      resolve(how);
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
  });
  return { ended, hasEnded: () => over };
}

function commandLine({ server, folder, port }: RedisLaunch): { command: string; args: string[] } {
  if (server.kind === 'local') return { command: server.path, args: [fileNames.config] };
  const publish = `127.0.0.1:${port}:${port}`;
  const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  return {
    command: 'docker',
    args: [
      ...['run', '--rm', '--name', containerName(port), '--publish', publish, '--user', user],
      ...['--mount', `type=bind,source=${folder},target=${containerFolder}`],
      ...['--workdir', containerFolder, server.image],
      ...['redis-server', `${containerFolder}/${fileNames.config}`],
    ],
  };
}

function containerName(port: number): string {
  return `flashdrop-redis-${port}`;
}

function configuration({ server, port, password }: RedisLaunch): string {
  return [
    // Loopback in a container is the container's own; Docker publishes the port on 127.0.0.1 alone.
    server.kind === 'docker' ? 'bind 0.0.0.0' : 'bind 127.0.0.1',
    'protected-mode yes',
    `port ${port}`,
    `requirepass ${password}`,
    'dir .',
    'appendonly yes',
    'appendfsync always',
    'no-appendfsync-on-rewrite no',
    'aof-use-rdb-preamble yes',
    'auto-aof-rewrite-percentage 100',
    'auto-aof-rewrite-min-size 64mb',
    'save ""',
    'maxmemory-policy noeviction',
    '',
  ].join('\n');
}

/** Limits for a start: without any answer, and while it reads its append-only file. */
const silentMsMax = 15_000;
const loadingMsMax = 600_000;

/**
 * Waits until the server answers PING, which it does once it has read its append-only file.
 * @throws StartError with the last line of its log when it ends or does not answer in time
 */
export async function untilAnswering(
  redis: RedisProcess,
  { folder, password }: Pick<RedisLaunch, 'folder' | 'password'>,
): Promise<void> {
  const started = performance.now();
  let loading = false;
  while (!redis.hasEnded()) {
    const answer = await ask({ port: redis.port, password }, (client) => client.ping());
    if (answer.kind === 'answer') return;
    loading ||= answer.error.message.startsWith('LOADING');
    if (performance.now() - started > (loading ? loadingMsMax : silentMsMax)) break;
    await delay(25);
  }
  const state = redis.hasEnded() ? `ended (${await redis.ended})` : 'does not answer';
  redis.kill('SIGKILL');
  throw new StartError(`the embedded redis-server ${state}: ${lastLogLine(folder)}`);
}

/** Runs a query over a connection of its own. Does not throw: errors are returned. */
export async function ask<T>(
  { port, password }: { port: number; password: string },
  query: (client: Redis) => Promise<T>,
): Promise<{ kind: 'answer'; value: T } | { kind: 'error'; error: Error }> {
  const client = new Redis({
    host: '127.0.0.1',
    port,
    password,
    lazyConnect: true,
    enableReadyCheck: false,
    connectTimeout: 1_000,
    disconnectTimeout: 50,
    commandTimeout: 1_000,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  client.on('error', () => {}); // The query fails with the same error.
  try {
    await client.connect();
    return { kind: 'answer', value: await query(client) };
  } catch (error) {
    return { kind: 'error', error: error instanceof Error ? error : new Error(String(error)) };
  } finally {
    client.disconnect();
  }
}

export function lastLogLine(folder: string): string {
  const log = readFileSync(join(folder, fileNames.log), 'utf8');
  const lines = log.split('\n').filter((line) => line !== '' && !/^(See|Run) '/.test(line));
  return lines.at(-1) ?? `its log ${join(folder, fileNames.log)} is empty`;
}
