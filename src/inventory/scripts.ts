import { readdirSync, readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import type { LaneKey } from './keys.ts';

const folder = new URL('../../lua/', import.meta.url);

/**
 * What each script takes and answers. The header of each file in lua/ says the same, and a test
 * holds the two together.
 */
export const scripts = {
  reserve: {
    keys: ['rules', 'stock', 'orders', 'buyers', 'holds', 'outbox', 'appointments'],
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
      'missing',
    ],
  },
  confirm: {
    keys: ['rules', 'stock', 'orders', 'buyers', 'holds', 'outbox'],
    replies: ['paid', 'retaken', 'already', 'gone', 'unknown'],
  },
  release: {
    keys: ['stock', 'orders', 'buyers', 'holds', 'outbox'],
    replies: ['released', 'already', 'refused', 'unknown'],
  },
  refund: {
    keys: ['stock', 'orders', 'buyers', 'holds', 'outbox'],
    replies: ['refunded', 'already', 'refused', 'unknown'],
  },
  defer: { keys: ['orders', 'holds'], replies: ['deferred', 'over', 'unknown'] },
  sweep: {
    keys: ['rules', 'stock', 'orders', 'buyers', 'holds', 'outbox'],
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
  publish: { keys: ['rules', 'stock'], replies: ['published', 'already', 'lost'] },
  inspect: {
    keys: ['rules', 'stock', 'orders', 'holds', 'outbox', 'appointments'],
    replies: ['done', 'missing'],
  },
} as const satisfies Record<string, { keys: readonly LaneKey[]; replies: readonly string[] }>;

export type ScriptName = keyof typeof scripts;

/** The text Redis runs: the file, with the fragments of lua/lib/ it includes put in place. */
export function scriptText(name: string): string {
  const text = readFileSync(new URL(`${name}.lua`, folder), 'utf8');
  return text.replace(/^-- include: (\w+)$/gm, (_, fragment: string) =>
    readFileSync(new URL(`lib/${fragment}.lua`, folder), 'utf8').trimEnd(),
  );
}

/** The names of the scripts that lie in lua/. */
export function scriptFiles(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.lua'))
    .map((file) => file.slice(0, -'.lua'.length));
}

type Command = (...args: (string | number)[]) => Promise<unknown>;

/**
 * Defines the scripts on a connection. `text` stands in for the files where a test plants a fault
 * in them. A script that the server has forgotten is nothing a caller sees: ioredis sends its text
 * again, and where another call was first to, the server may have forgotten it once more by then.
 * NOSCRIPT means that nothing ran, so the text itself is sent last.
 */
export function defineScripts(redis: Redis, text = scriptText): Record<ScriptName, Command> {
  const commands = {} as Record<ScriptName, Command>;
  for (const name of Object.keys(scripts) as ScriptName[]) {
    // A name of our own, since `publish` is a command that the connection must go on knowing.
    const command = `lane_${name}`;
    const [lua, numberOfKeys] = [text(name), scripts[name].keys.length];
    redis.defineCommand(command, { numberOfKeys, lua });
    const defined = (redis as unknown as Record<string, Command>)[command] as Command;
    commands[name] = async (...args) => {
      try {
        return await defined.apply(redis, args);
      } catch (error) {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return await redis.eval(lua, numberOfKeys, ...args);
      }
    };
  }
  return commands;
}
