import type { Redis } from 'ioredis';
import { readInfo } from './redis-info.ts';
import { readReply } from './reply-reader.ts';

/** A setting of a Redis server that breaks a promise. `name` is how an operator allows it. */
export type Weakness = { name: 'eviction' | 'no-aof' | 'everysec'; text: string };

/**
 * Checks whether a server may hold reservations. A server that may evict keys loses orders; one
 * without an append-only file, or that fsyncs it later, loses acknowledged orders in a power cut.
 */
export async function findWeaknesses(redis: Redis): Promise<Weakness[]> {
  const info = await readInfo(redis, 'memory', 'persistence');
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
  return weaknesses;
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
