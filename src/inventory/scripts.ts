import { hash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { found } from '../domain/required.ts';
import type { LaneKey } from './keys.ts';
import { isRedisError, redisErrorCodes } from './redis-errors.ts';

const folder = new URL('../../lua/', import.meta.url);

/**
 * The keys each script takes, in order, and the status words of its replies. The header of each file
 * in lua/ says the same; test/lua/headers.test.ts compares the two.
 */
export const scripts = {
  reserve: {
    keys: [
      'rules',
      'stock',
      'orders',
      'buyers',
      'holds',
      'outbox',
      'appointments',
      'lapses',
      'details',
    ],
    replies: [
      'reserved',
      'replayed',
      'reused',
      'sold_out',
      'all_held',
      'buyer_limit',
      'not_open',
      'paused',
      'ended',
      'cancelled',
      'unknown_item',
      'no_appointment',
      'lapse_limit',
      'missing',
    ],
  },
  confirm: {
    keys: ['rules', 'stock', 'orders', 'buyers', 'holds', 'outbox', 'lapses'],
    replies: ['paid', 'retaken', 'already', 'gone', 'unknown'],
  },
  release: {
    keys: ['stock', 'orders', 'buyers', 'holds', 'outbox', 'lapses'],
    replies: ['released', 'already', 'refused', 'unknown'],
  },
  refund: {
    keys: ['stock', 'orders', 'buyers', 'holds', 'outbox'],
    replies: ['refunded', 'already', 'refused', 'unknown'],
  },
  writeoff: {
    keys: ['stock', 'orders', 'buyers', 'holds', 'outbox'],
    replies: ['refunded', 'already', 'refused', 'unknown'],
  },
  defer: {
    keys: ['stock', 'orders', 'buyers', 'holds', 'outbox', 'lapses'],
    replies: ['deferred', 'refused', 'unknown'],
  },
  shorten: {
    keys: ['rules', 'orders', 'holds', 'outbox'],
    replies: ['shortened', 'already', 'refused', 'unknown'],
  },
  sweep: {
    keys: ['rules', 'stock', 'orders', 'buyers', 'holds', 'outbox', 'lapses'],
    replies: ['done'],
  },
  adjust: {
    keys: ['rules', 'stock', 'edits', 'outbox'],
    replies: [
      'adjusted',
      'already',
      'below',
      'over',
      'reused',
      'unknown_item',
      'closed',
      'missing',
    ],
  },
  appoint: {
    keys: ['rules', 'appointments'],
    replies: ['appointed', 'already', 'missing'],
  },
  unappoint: {
    keys: ['rules', 'appointments'],
    replies: ['removed', 'none', 'missing'],
  },
  publish: {
    keys: ['rules', 'stock', 'edits', 'orders'],
    replies: ['published', 'already', 'lost', 'open', 'adjusted'],
  },
  inspect: {
    keys: ['rules', 'stock', 'orders', 'holds', 'outbox', 'appointments'],
    replies: ['done', 'missing'],
  },
} as const satisfies Record<string, { keys: readonly LaneKey[]; replies: readonly string[] }>;

export type ScriptName = keyof typeof scripts;

/** The text that Redis runs: the file, with each `-- include:` line replaced by its fragment. */
export function scriptText(name: string): string {
  const text = readFileSync(new URL(`${name}.lua`, folder), 'utf8');
  return text.replace(/^-- include: (\w+)$/gm, (_, fragment: string) =>
    readFileSync(new URL(`lib/${fragment}.lua`, folder), 'utf8').trimEnd(),
  );
}

/** The names of the scripts in lua/. */
export function scriptFiles(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.lua'))
    .map((file) => file.slice(0, -'.lua'.length));
}

/** Runs one script on its keys and arguments, all in one call. */
export type RunScript = (
  name: ScriptName,
  keys: readonly string[],
  args: readonly (string | number)[],
) => Promise<unknown>;

/**
 * Runs scripts by their digest, and by their text when the server does not have them: after a
 * restart, a failover or SCRIPT FLUSH. NOSCRIPT means that nothing ran, so sending the text is no
 * second run. Any other error is the caller's. `text` lets a test plant a fault in a script.
 */
export function openScripts(redis: Redis, text = scriptText): RunScript {
  const known = new Map(
    Object.keys(scripts).map((name) => {
      const lua = text(name);
      return [name, { lua, sha: hash('sha1', lua) }];
    }),
  );
  return async function runScript(name, keys, args) {
    const { lua, sha } = found(known, name, 'script');
    try {
      return await redis.evalsha(sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!isRedisError(error, redisErrorCodes.noScript)) throw error;
      return await redis.eval(lua, keys.length, ...keys, ...args);
    }
  };
}
