import { randomInt } from 'node:crypto';

/**
 * The seed of a random test: FLASHDROP_SEED (a whole number) when it is set, else `usual`, else a random
 * one. It is printed, so that a run can be repeated.
 */
export function testSeed(title: string, usual: number = randomInt(2 ** 31 - 1)): number {
  const text = process.env['FLASHDROP_SEED'];
  const seed = text === undefined ? usual : Number(text);
  if (!Number.isInteger(seed)) throw new Error(`FLASHDROP_SEED must be a whole number: ${text}`);
  process.stderr.write(`${title}: FLASHDROP_SEED=${seed}\n`);
  return seed;
}
