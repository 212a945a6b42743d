import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { QueueFull } from '../../batching/batcher.ts';

/** What one hash costs: 128 · r · 2^logN bytes of memory, and time in proportion to that times p. */
export type HashCost = { logN: number; r: number; p: number };

/**
 * 32 MiB and about 110 ms of one core of the build machine for each hash. A million passwords are
 * all there are, so this slows a thief of the table to a day per buyer and core; what protects a
 * wallet is that guesses are counted.
 */
const costNow: HashCost = { logN: 15, r: 8, p: 1 };

const saltBytes = 16;
const digestBytes = 32;
/** Of Node's four threads two are left for everything else, and 64 MiB is all that hashing takes. */
const atOnceMax = 2;
/** Whoever comes when so many are inside is told so, rather than kept for seconds. */
const placesMax = 64;

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

export type PasswordHashing = ReturnType<typeof openPasswordHashing>;

/** Slow hashes, few at a time, so that guessing takes neither the memory nor the threads of others. */
export function openPasswordHashing(cost: HashCost = costNow) {
  const waiting: (() => void)[] = [];
  let [places, running] = [0, 0];

  /**
   * Keeps a place for `work`, which may then hash as often as it needs to.
   * @throws QueueFull when there is none, before anything was done
   */
  async function within<T>(work: () => Promise<T>): Promise<T> {
    if (places >= placesMax) throw new QueueFull();
    places += 1;
    try {
      return await work();
    } finally {
      places -= 1;
    }
  }

  /** `scrypt$logN$r$p$salt$digest` of a password, with a salt of its own. */
  async function hash(password: string): Promise<string> {
    const salt = randomBytes(saltBytes);
    const digest = await digestOf(password, salt, cost);
    const { logN, r, p } = cost;
    return ['scrypt', logN, r, p, salt.toString('base64'), digest.toString('base64')].join('$');
  }

  /** Whether a password is the one behind a hash, and whether that was made at another cost. */
  async function compare(
    password: string,
    hashed: string,
  ): Promise<{ right: boolean; outdated: boolean }> {
    const [, logN, r, p, salt = '', digest = ''] = hashed.split('$');
    const then = { logN: Number(logN), r: Number(r), p: Number(p) };
    const found = await digestOf(password, Buffer.from(salt, 'base64'), then);
    const outdated = then.logN !== cost.logN || then.r !== cost.r || then.p !== cost.p;
    return { right: timingSafeEqual(found, Buffer.from(digest, 'base64')), outdated };
  }

  async function digestOf(password: string, salt: Buffer, { logN, r, p }: HashCost) {
    if (running >= atOnceMax) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      const memory = 128 * r * 2 ** logN;
      return await derive(password, salt, digestBytes, { N: 2 ** logN, r, p, maxmem: 2 * memory });
    } finally {
      // Whoever waits next takes the turn over; only when nobody does is there one less.
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  }

  return { within, hash, compare };
}
