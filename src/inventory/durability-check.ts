import type { Redis } from 'ioredis';
import { readReply } from './reply-reader.ts';

/** A setting of a Redis server that breaks a promise. `name` is how an operator allows it. */
export type Weakness = { name: 'eviction' | 'no-aof' | 'everysec'; text: string };

const oldest = [7, 0] as const;

/**
 * Checks whether a server may hold reservations. A server that may evict keys loses orders; one
 * without an append-only file, or that fsyncs it later, loses acknowledged orders in a power cut.
 * `tooOld` is its version when the scripts cannot run on it.
 */
export async function findWeaknesses(
  redis: Redis,
): Promise<{ tooOld: string | undefined; weaknesses: Weakness[] }> {
  const info = parseInfo(
    (await Promise.all(['server', 'memory', 'persistence'].map((name) => redis.info(name)))).join(
      '',
    ),
  );
  const weaknesses: Weakness[] = [];
  const policy = info.get('maxmemory_policy');
  if (policy !== 'noeviction') {
    const text = `it may evict keys (maxmemory-policy ${policy}): set maxmemory-policy noeviction`;
    weaknesses.push({ name: 'eviction', text });
  }
  if (info.get('aof_enabled') !== '1') {
    const text = 'it keeps no append-only file (appendonly no): set appendonly yes';
    weaknesses.push({ name: 'no-aof', text });
  } else {
    const fsync = await readSetting(redis, 'appendfsync');
    if (fsync !== 'always') {
      const said = fsync ?? 'not shown by this server';
      const text = `it may acknowledge before it is on disk (appendfsync ${said}): set appendfsync always`;
      weaknesses.push({ name: 'everysec', text });
    }
  }
  const version = info.get('redis_version') ?? '0';
  return { tooOld: isOlder(version) ? version : undefined, weaknesses };
}

function parseInfo(text: string): Map<string, string> {
  const rows = text.split('\r\n').map((row) => row.split(':', 2));
  return new Map(
    rows.flatMap(([name, value]) => (name && value !== undefined ? [[name, value]] : [])),
  );
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < oldest[0] || (major === oldest[0] && minor < oldest[1]);
}

/** A setting of the server; undefined where CONFIG is not allowed, as on many hosted servers. */
async function readSetting(redis: Redis, name: string): Promise<string | undefined> {
  try {
    const reply = readReply('CONFIG GET', await redis.config('GET', name));
    return reply.length > 1 ? reply.text(1) : undefined;
  } catch {
    return undefined;
  }
}
