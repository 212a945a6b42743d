import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { Problem } from '../problems/problems.ts';

/** Work of which each caller has one at a time, over all processes of an engine. */
export type Exclusive = {
  /** Resolves with the function that ends the work; undefined when the caller has some under way. */
  begin(name: string): Promise<End | undefined>;
};

/** Ends the work; the caller may begin other work once `restMs` more have passed. */
export type End = (restMs?: number) => void;

const retryAfterMs = 2_000;

/**
 * Begins work that a caller has one of at a time; resolves with the function that ends it.
 * @throws Problem already_running when the caller has some under way
 */
export async function beginAlone(exclusive: Exclusive, caller: string): Promise<End> {
  const end = await exclusive.begin(caller);
  if (!end) throw new Problem('already_running', { retryAfterMs });
  return end;
}

/** Ends the work when the stream that it sends is at its end, or broke off. */
export function endWith(stream: Readable, end: End): Readable {
  // `close` alone comes after the client has its answer, when it may ask again.
  return stream.once('end', () => end()).once('close', () => end());
}

/** Work that is over within this time keeps nobody else from beginning. */
const waitMsMax = 1_000;
const askEveryMs = 100;
const restMsMax = 10_000;

/**
 * Runs work that a caller has one of at a time and that may follow at once, such as two clerks' searches:
 * it waits a moment for what is under way. After it the caller has to rest for as long as it took, so
 * that nobody takes more than half of the ledger's time.
 * @throws Problem already_running when what is under way takes longer
 */
export async function runInTurn<T>(
  exclusive: Exclusive,
  caller: string,
  work: () => Promise<T>,
): Promise<T> {
  const end = await beginSoon(exclusive, caller);
  const since = performance.now();
  try {
    return await work();
  } finally {
    end(Math.min(performance.now() - since, restMsMax));
  }
}

async function beginSoon(exclusive: Exclusive, caller: string): Promise<End> {
  const until = performance.now() + waitMsMax;
  while (performance.now() < until) {
    const end = await exclusive.begin(caller);
    if (end) return end;
    await wait(askEveryMs);
  }
  return await beginAlone(exclusive, caller);
}

/** A process that dies leaves its work marked for this long. */
const leaseMs = 30_000;

/** Renews the mark when it is still ours, or removes it when no time is given. */
const keepOrEnd = `if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('del', KEYS[1]) end
return redis.call('pexpire', KEYS[1], ARGV[2])`;

/** Marks work in Redis; while Redis does not answer, each process keeps its own order alone. */
export function openExclusive(redis: Redis, namespace: string): Exclusive {
  const here = new Set<string>();

  async function mark(key: string, token: string): Promise<boolean> {
    try {
      return (await redis.set(key, token, 'PX', leaseMs, 'NX')) === 'OK';
    } catch {
      return true;
    }
  }

  return {
    async begin(name) {
      if (here.has(name)) return undefined;
      here.add(name);
      const key = `${namespace}:busy:${name}`;
      const token = randomBytes(9).toString('base64url');
      if (!(await mark(key, token))) {
        here.delete(name);
        return undefined;
      }
      const set = (ms: number) => redis.eval(keepOrEnd, 1, key, token, ms).catch(() => {});
      const renewing = setInterval(() => void set(leaseMs), leaseMs / 3).unref();
      return (restMs = 0) => {
        if (!here.delete(name)) return;
        clearInterval(renewing);
        void set(Math.ceil(restMs));
      };
    },
  };
}
