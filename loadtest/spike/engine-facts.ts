import { Redis } from 'ioredis';
import { request } from 'undici';
import { findRedisServer, redisImage } from '../../src/embedded/find-redis.mjs';
import type { SpikeRecord } from '../record/record.ts';

type Facts = {
  engine: Pick<SpikeRecord['engine'], 'redis' | 'ledger' | 'apiProcesses'>;
  redisVersion: string;
};

const notTold = 'not told';

/**
 * What is known of the engine under load. An engine that the run started uses Redis and ledger of
 * this environment; of any other only /metrics is known, where its address is given.
 */
export async function factsOf(options: {
  opsAddress: string | undefined;
  own: boolean;
}): Promise<Facts> {
  const { opsAddress, own } = options;
  const apiProcesses = opsAddress === undefined ? undefined : await countApiProcesses(opsAddress);
  if (!own) {
    return { engine: { redis: notTold, ledger: 'unknown', apiProcesses }, redisVersion: notTold };
  }
  const { REDIS_URL: url, DATABASE_URL: database } = process.env;
  const ledger = database ? 'server' : 'embedded';
  return {
    engine: { redis: url ? 'server of REDIS_URL' : 'embedded', ledger, apiProcesses },
    redisVersion: await (url ? versionAt(url) : embeddedVersion()),
  };
}

/** Processes that share a port have a label; a single process has none. */
async function countApiProcesses(opsAddress: string): Promise<number | undefined> {
  const { statusCode, body } = await request(`${opsAddress}/metrics`, { headersTimeout: 5_000 });
  const text = await body.text();
  if (statusCode !== 200) return undefined;
  const starts = text.match(/^flashdrop_process_start_time_seconds.*$/gm) ?? [];
  const apis = starts.filter((line) => line.includes('process="api-')).length;
  return apis > 0 ? apis : starts.length || undefined;
}

function embeddedVersion(): string {
  const server = findRedisServer({ env: process.env });
  return server.kind === 'local' ? server.version : `of ${redisImage}`;
}

async function versionAt(url: string): Promise<string> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => {}); // The command's own rejection says the same.
  try {
    await client.connect();
    return /^redis_version:(\S+)/m.exec(await client.info('server'))?.[1] ?? notTold;
  } catch {
    return notTold;
  } finally {
    client.disconnect();
  }
}
