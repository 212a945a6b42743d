import type { Redis } from 'ioredis';

/** A weakness of a Redis server that breaks a promise, by the name that allows it. */
export type Weakness = { name: 'eviction' | 'no-aof' | 'everysec'; text: string };

const oldest = [7, 0] as const;

/**
 * What keeps a server from holding reservations: one that may evict forgets orders, one without an
 * append-only file, or with one that is fsynced later, acknowledges what a power cut takes back.
 * `tooOld` names its version when scripts cannot run on it.
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
  const pairs = text.split('\r\n').map((row) => row.split(':', 2) as [string, string]);
  return new Map(pairs.filter((pair) => pair.length === 2));
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < oldest[0] || (major === oldest[0] && minor < oldest[1]);
}

/** A setting of the server, undefined where CONFIG is not allowed, as on many hosted servers. */
async function readSetting(redis: Redis, name: string): Promise<string | undefined> {
  try {
    const reply = await redis.config('GET', name);
    return (reply as string[])[1];
  } catch {
    return undefined;
  }
}
