import type { Redis } from 'ioredis';
import { placeOf } from '../config/tls.ts';
import { connectHot } from '../inventory/redis-connections.ts';
import { readInfo } from '../inventory/redis-info.ts';
import { explainRefusal } from '../inventory/redis-refusals.ts';
import type { Logger } from '../log.ts';
import { openInterval } from '../scheduling/interval.ts';
import { StartError } from '../start-error.ts';
import type { Releasers } from './releasers.ts';

/** A command without a reply after this time fails, and its outcome is unknown. */
const commandTimeoutMs = 2_000;
const connectMsMax = 10_000;
const progressEveryMs = 500;
/** A server that loads its data may take any time, but must come further within this one. */
const stuckMsMax = 60_000;

/**
 * The connection of the hot path, once Redis answers. While the server still loads its data, the start
 * waits and `onWait` gets a line that says so.
 * @throws StartError when it refuses the connection, does not answer in time, or stops loading
 */
export async function openRedisConnection(
  url: string,
  {
    log,
    releasers,
    onWait = () => {},
  }: {
    log: Logger;
    releasers: Releasers;
    onWait?: ((text: string) => void) | undefined;
  },
): Promise<Redis> {
  const redis = connectHot(url, { timeoutMs: commandTimeoutMs });
  releasers.add('the connection to Redis', () => redis.disconnect());
  const at = `Redis at ${placeOf(url)}`;
  const opened = Promise.withResolvers<void>();
  let last: Error | undefined;
  let deadline = performance.now() + connectMsMax;
  let loaded: string | undefined;

  redis.on('error', (error) => {
    last = error;
    log.warn({ err: error }, 'Redis connection failed');
    const explanation = explainRefusal(error);
    if (explanation) opened.reject(new StartError(`${at}: ${explanation}`));
  });
  redis.once('ready', opened.resolve);

  async function checkProgress(): Promise<void> {
    const progress = await readProgress(redis);
    if (progress && progress !== loaded) {
      if (loaded === undefined) onWait(`waiting for ${at}: it loads its data`);
      loaded = progress;
      deadline = performance.now() + stuckMsMax;
    }
    if (performance.now() < deadline) return;
    const why = loaded === undefined ? silence(url, last) : 'it stopped loading its data';
    opened.reject(
      new StartError(`${at} does not answer (${why}): check REDIS_URL and that it runs`),
    );
  }

  const checking = openInterval({
    run: checkProgress,
    everyMs: progressEveryMs,
    pausesFirst: true,
    onError: (error) => log.warn({ err: error }, 'Redis does not say how far it has loaded'),
  });
  checking.start();
  try {
    await opened.promise;
  } finally {
    await checking.stop();
  }
  return redis;
}

/** How far a server has loaded its data; undefined when it does not load, or there is no connection. */
async function readProgress(redis: Redis): Promise<string | undefined> {
  // Connected and not ready: ioredis waits for the end of loading.
  if (redis.status !== 'connect') return undefined;
  const info = await readInfo(redis, 'persistence');
  return info.get('loading') === '1' ? (info.get('loading_loaded_bytes') ?? 'unknown') : undefined;
}

/** Why a server does not answer, as far as one can tell. */
function silence(url: string, last: Error | undefined): string {
  const code = last && 'code' in last ? last.code : undefined;
  if (code === 'ECONNREFUSED' || code === 'ENOTFOUND') return String(last?.message);
  const hint = url.startsWith('rediss:')
    ? 'a port without TLS needs redis://'
    : 'a port with TLS needs rediss://';
  return `${last?.message || 'no reply'}; ${hint}`;
}
