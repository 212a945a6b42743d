import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { QueueFull } from '../../batching/batcher.ts';

/** The cost of one hash: 128 · r · 2^logN bytes of memory, and time in proportion to that times p. */
export type HashCost = { logN: number; r: number; p: number };

/**
 * A hash takes 32 MiB and about 110 ms of one core of the build machine. There are only a million
 * passwords, so a thief of the table needs about a day per buyer and core; the protection of a
 * wallet is the count of guesses.
 */
const costNow: HashCost = { logN: 15, r: 8, p: 1 };

const saltBytes = 16;
const digestBytes = 32;
/** Hashes computed at once: two of Node's four threads stay free, and hashing takes 64 MiB at most. */
const atOnceMax = 2;
/**
 * Callers at once, running and waiting; a further one is refused instead of waiting for seconds. Those
 * who set a password have few places of their own: anybody may do that, without any money.
 */
const placesMax = { payment: 64, setting: 16 };

/** What a hash is for. A payment goes before all that set a password. */
export type HashPurpose = keyof typeof placesMax;

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

export type PasswordHashing = ReturnType<typeof openPasswordHashing>;

/** Slow hashes, few at a time, so that guesses do not use up the memory and threads of the process. */
export function openPasswordHashing(cost: HashCost = costNow) {
  const waiting: Record<HashPurpose, (() => void)[]> = { payment: [], setting: [] };
  const places: Record<HashPurpose, number> = { payment: 0, setting: 0 };
  let running = 0;

  /**
   * Runs `work`, which may hash any number of times, as one of a bounded number of callers.
   * @throws QueueFull when there are too many callers; `work` was not run then
   */
  async function within<T>(purpose: HashPurpose, work: () => Promise<T>): Promise<T> {
    if (places[purpose] >= placesMax[purpose]) throw new QueueFull();
    places[purpose] += 1;
    try {
      return await work();
    } finally {
      places[purpose] -= 1;
    }
  }

  /** `scrypt$logN$r$p$salt$digest` of a password, with a new random salt. */
  async function hash(password: string, purpose: HashPurpose): Promise<string> {
    const salt = randomBytes(saltBytes);
    const digest = await digestOf(password, salt, { cost, purpose });
    const { logN, r, p } = cost;
    return ['scrypt', logN, r, p, salt.toString('base64'), digest.toString('base64')].join('$');
  }

  /** Whether a password matches a hash (`right`), and whether the hash has another cost (`outdated`). */
  async function compare(
    password: string,
    hashed: string,
    purpose: HashPurpose,
  ): Promise<{ right: boolean; outdated: boolean }> {
    const [, logN, r, p, salt = '', digest = ''] = hashed.split('$');
    const then = { logN: Number(logN), r: Number(r), p: Number(p) };
    const from = Buffer.from(salt, 'base64');
    const found = await digestOf(password, from, { cost: then, purpose });
    const outdated = then.logN !== cost.logN || then.r !== cost.r || then.p !== cost.p;
    return { right: timingSafeEqual(found, Buffer.from(digest, 'base64')), outdated };
  }

  async function digestOf(
    password: string,
    salt: Buffer,
    { cost, purpose }: { cost: HashCost; purpose: HashPurpose },
  ): Promise<Buffer> {
    if (running >= atOnceMax) {
      await new Promise<void>((resolve) => waiting[purpose].push(resolve));
    } else {
      running += 1;
    }
    try {
      const { logN, r, p } = cost;
      const memory = 128 * r * 2 ** logN;
      return await derive(password, salt, digestBytes, { N: 2 ** logN, r, p, maxmem: 2 * memory });
    } finally {
      // Hands the slot to the next waiting call, or frees it when none waits.
      const next = waiting.payment.shift() ?? waiting.setting.shift();
      if (next) next();
      else running -= 1;
    }
  }

  return { within, hash, compare };
}
