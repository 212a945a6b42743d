import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '../start-error.ts';
import {
  dockerAnswers,
  type Environment,
  findRedisServer,
  oldestRedis,
  type RedisServer,
  redisImage,
} from './find-redis.mjs';
import { freePort } from './free-port.ts';
import {
  fileNames,
  lastLogLine,
  launchRedis,
  type RedisProcess,
  untilAnswering,
} from './redis-process.ts';

export type RedisLog = {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
};

export type EmbeddedRedis = {
  url: string;
  /** Pid of the current server; a restart changes it. */
  pid(): number;
  /** Shuts the server down and waits for its end; kills it after `stopMsMax`. */
  stop(): Promise<void>;
};

const portTriesMax = 5;
const backoffMs = { first: 100, most: 5_000 };
/** After a run this long the next restart begins with the shortest wait again. */
const stableAfterMs = 30_000;
const stopMsMax = 10_000;

/**
 * Starts a Redis on loopback in `folder` and restarts it on the same port when it ends before `stop`,
 * after a wait that doubles up to five seconds.
 * @throws StartError when no redis-server is installed, or it does not start
 */
export async function startEmbeddedRedis(options: {
  folder: string;
  password: string;
  env: Environment;
  log: RedisLog;
}): Promise<EmbeddedRedis> {
  const { folder, password, env, log } = options;
  const server = chooseServer(env);
  let redis = await startOnFreePort();
  let since = performance.now();
  const { port } = redis;
  const stopping = new AbortController();
  const supervised = supervise();
  // A crash of the engine shuts Redis down too; after a kill -9 the next start does it.
  const shutDownRedis = () => redis.kill('SIGTERM');
  process.once('exit', shutDownRedis);

  async function startOnFreePort(): Promise<RedisProcess> {
    for (let tries = 1; ; tries++) {
      const started = launchRedis({ server, folder, port: await freePort(), password, env });
      try {
        await untilAnswering(started, { folder, password });
        log.info({ pid: started.pid, port: started.port }, 'embedded redis-server started');
        return started;
      } catch (error) {
        const portTaken = /in use|already allocated/i.test(String(error));
        if (!portTaken || tries === portTriesMax) throw error;
      }
    }
  }

  async function supervise(): Promise<void> {
    let waitMs = backoffMs.first;
    while (!stopping.signal.aborted) {
      const how = await redis.ended;
      if (stopping.signal.aborted) return;
      if (performance.now() - since > stableAfterMs) waitMs = backoffMs.first;
      const details = { how, waitMs, lastLine: lastLogLine(folder) };
      log.warn(details, 'embedded redis-server ended; restarting it');
      await delay(waitMs, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return;
      waitMs = Math.min(waitMs * 2, backoffMs.most);
      redis = launchRedis({ server, folder, port, password, env });
      since = performance.now();
      await untilAnswering(redis, { folder, password }).then(
        () => log.info({ pid: redis.pid, port }, 'embedded redis-server restarted'),
        (error: Error) => {
          if (stopping.signal.aborted) return;
          log.warn({ reason: error.message }, 'embedded redis-server restart failed');
        },
      );
    }
  }

  async function stop(): Promise<void> {
    if (stopping.signal.aborted) return;
    stopping.abort();
    process.off('exit', shutDownRedis);
    // Redis treats SIGTERM as SHUTDOWN: it fsyncs its append-only file before it ends.
    redis.kill('SIGTERM');
    const deadline = setTimeout(() => redis.kill('SIGKILL'), stopMsMax);
    await redis.ended;
    clearTimeout(deadline);
    await supervised;
    rmSync(join(folder, fileNames.child), { force: true });
  }

  return { url: `redis://:${password}@127.0.0.1:${port}`, pid: () => redis.pid, stop };
}

function chooseServer(env: Environment): RedisServer {
  const found = findRedisServer({ env });
  if (found.kind === 'local') return found;
  if (!env['FLASHDROP_REDIS_SERVER'] && dockerAnswers(env))
    return { kind: 'docker', image: redisImage };
  const rejected = found.rejected.length > 0 ? ` (${found.rejected.join('; ')})` : '';
  throw new StartError(
    `no redis-server or valkey-server of ${oldestRedis} or newer was found${rejected}: install Redis, ` +
      'name one with FLASHDROP_REDIS_SERVER, or set REDIS_URL',
  );
}
