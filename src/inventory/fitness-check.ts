import type { Redis } from 'ioredis';
import { isRedisReply } from './redis-errors.ts';
import { readInfo } from './redis-info.ts';

/** The oldest Redis on which the scripts run. */
const oldest = [7, 0] as const;

/**
 * The commands of our scripts, of the relay and of BullMQ, with arguments of the right form; `KEY` stands
 * for a key. test/inventory/fitness-check.test.ts compares the list with the scripts.
 */
export const neededCommands = [
  ...['bzpopmin KEY 1', 'del KEY', 'eval return 0', 'evalsha 0 0', 'exec', 'exists KEY'],
  ...['get KEY', 'hdel KEY f', 'hexists KEY f', 'hget KEY f', 'hgetall KEY', 'hincrby KEY f 1'],
  ...['hlen KEY', 'hmget KEY f', 'hmset KEY f v', 'hscan KEY 0', 'hset KEY f v', 'incr KEY'],
  ...['incrby KEY 1', 'lindex KEY 0', 'llen KEY', 'lpop KEY', 'lpos KEY v', 'lpush KEY v'],
  ...['lrange KEY 0 0', 'lrem KEY 0 v', 'lset KEY 0 v', 'ltrim KEY 0 0', 'multi', 'persist KEY'],
  ...['pexpire KEY 1', 'pexpireat KEY 1', 'ping', 'pttl KEY', 'rename KEY KEY', 'rpop KEY'],
  ...['rpoplpush KEY KEY', 'rpush KEY v', 'sadd KEY v', 'scard KEY', 'script load return'],
  ...['set KEY v', 'sismember KEY v', 'smembers KEY', 'srem KEY v', 'time', 'type KEY'],
  ...['unlink KEY', 'xack KEY g 0-1', 'xadd KEY * f v', 'xautoclaim KEY g c 0 0', 'xdel KEY 0-1'],
  ...['xgroup create KEY g 0', 'xinfo stream KEY', 'xlen KEY', 'xrange KEY - +'],
  ...['xread streams KEY 0', 'xreadgroup group g c streams KEY >', 'xtrim KEY maxlen 1'],
  ...['zadd KEY 1 v', 'zcard KEY', 'zcount KEY 0 1', 'zlexcount KEY - +', 'zpopmin KEY'],
  ...['zrange KEY 0 0', 'zrangebylex KEY - +', 'zrangebyscore KEY 0 1', 'zrem KEY v'],
  ...['zremrangebyrank KEY 0 0', 'zremrangebyscore KEY 0 1', 'zrevrange KEY 0 0'],
  ...['zrevrangebyscore KEY 1 0', 'zscore KEY v'],
  'zmscore KEY v',
];

/** Gives the commands that the user of the connection may not run; a renamed one is unknown. */
const deniedScript = `
local denied = {}
for i = 2, #ARGV do
  local words = {}
  for word in string.gmatch(ARGV[i], '%S+') do
    if word == 'KEY' then words[#words + 1] = ARGV[1] else words[#words + 1] = word end
  end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if not (known and allowed) then denied[#denied + 1] = words[1] end
end
return denied`;

/**
 * Checks that a server can do all that the engine needs. What is missing would be found out in use only:
 * on a node of a cluster Buys are accepted, and BullMQ never settles one.
 * @param keys one key of each form that the engine uses
 * @returns what is wrong and what to do; undefined when nothing is
 */
export async function findUnfit(
  redis: Redis,
  keys: readonly string[],
): Promise<string | undefined> {
  try {
    return (
      unfitByInfo(await readInfo(redis, 'server', 'replication', 'cluster')) ??
      (await unfitByRights(redis, keys))
    );
  } catch (error) {
    if (!isRedisReply(error)) throw error;
    return `it refuses a command that the engine needs (${error.message}): allow it`;
  }
}

function unfitByInfo(info: ReadonlyMap<string, string>): string | undefined {
  if (info.get('redis_mode') === 'sentinel') {
    return 'it is a Sentinel: write the address of the Redis master into REDIS_URL';
  }
  if (info.get('cluster_enabled') === '1') {
    return 'it is a node of a cluster (cluster-enabled yes), where no order would be paid: use a server with cluster-enabled no';
  }
  const version = info.get('redis_version') ?? '0';
  if (isOlder(version)) return `it is version ${version}: use 7.0 or later`;
  if (info.get('role') !== 'master') {
    const master = `${info.get('master_host')}:${info.get('master_port')}`;
    return `it is a replica of ${master}, which takes no writes: write the address of the master into REDIS_URL`;
  }
  return undefined;
}

async function unfitByRights(redis: Redis, keys: readonly string[]): Promise<string | undefined> {
  const denied = new Set<string>();
  for (const key of keys) {
    const names = await redis.eval(deniedScript, 0, key, ...neededCommands);
    if (Array.isArray(names)) for (const name of names) denied.add(String(name).toUpperCase());
  }
  if (denied.size === 0) return undefined;
  const shown = [...denied].slice(0, 5).join(', ');
  const more = denied.size > 5 ? ` and ${denied.size - 5} more` : '';
  return (
    `its user may not run ${shown}${more} on our keys: allow it with ACL SETUSER (+@read +@write +@scripting ` +
    `+@transaction +@blocking +@connection +info +time, and the keys that begin with the namespace or {namespace})`
  );
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < oldest[0] || (major === oldest[0] && minor < oldest[1]);
}
