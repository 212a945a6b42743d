import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { createSigner } from 'fast-jwt';
import { describe, expect, test } from 'vitest';
import { type HmacAlgorithm, openHmacCheck } from '../../../src/http/auth/hmac.ts';
import { openRateLimiter } from '../../../src/http/limits/rate-limiter.ts';
import { openGenerationalCache } from '../../../src/http/request/generational-cache.ts';
import { testSeed } from '../../support/seed.ts';

const seed = testSeed('hmac');

const digests: Record<HmacAlgorithm, string> = {
  HS256: 'sha256',
  HS384: 'sha384',
  HS512: 'sha512',
};
const algorithms = Object.keys(digests) as HmacAlgorithm[];

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');

function tokenOf(options: { algorithm: HmacAlgorithm; secret: string; claims: object }): string {
  const { algorithm, secret, claims } = options;
  const input = `${encode({ alg: algorithm })}.${encode(claims)}`;
  return `${input}.${createHmac(digests[algorithm], secret).update(input).digest('base64url')}`;
}

const anAlgorithm = fc.constantFrom(...algorithms);
// Longer than a block too: then the key is the secret's hash.
const aSecret = fc.string({ minLength: 1, maxLength: 300 });
const someClaims = fc.record({ sub: fc.string(), amount: fc.integer(), 名: fc.string() });

describe('The HMAC check', () => {
  test('agrees with fast-jwt for any secret and claims', () => {
    fc.assert(
      fc.property(anAlgorithm, aSecret, someClaims, (algorithm, secret, claims) => {
        const check = openHmacCheck({ algorithm, secret });
        expect(check(tokenOf({ algorithm, secret, claims }))).toEqual(claims);
        const theirs = createSigner({ key: secret, algorithm, noTimestamp: true })(claims);
        expect(check(theirs)).toEqual(claims);
      }),
      { seed },
    );
  });

  test('refuses a token with any character changed', () => {
    const letters = 'ABab01-_.=ŁÿŒ ';
    fc.assert(
      fc.property(
        anAlgorithm,
        fc.nat(),
        fc.constantFrom(...letters),
        (algorithm, position, letter) => {
          const secret = 'a secret of the tests';
          const token = tokenOf({ algorithm, secret, claims: { sub: 'ann', exp: 1 } });
          const at = position % token.length;
          fc.pre(token[at] !== letter);
          const changed = token.slice(0, at) + letter + token.slice(at + 1);
          expect(openHmacCheck({ algorithm, secret })(changed)).toBeUndefined();
        },
      ),
      { seed, numRuns: 500 },
    );
  });

  test('refuses a token under another algorithm or secret, and a longer or shorter one', () => {
    const claims = { sub: 'ann' };
    const check = openHmacCheck({ algorithm: 'HS256', secret: 'right' });
    const good = tokenOf({ algorithm: 'HS256', secret: 'right', claims });
    expect(check(good)).toEqual(claims);
    for (const bad of [
      tokenOf({ algorithm: 'HS256', secret: 'wrong', claims }),
      tokenOf({ algorithm: 'HS512', secret: 'right', claims }),
      `${good}A`,
      good.slice(0, -1),
      `${good}.${good}`,
      good.split('.').slice(0, 2).join('.'),
      `${good.split('.').slice(0, 2).join('.')}.`,
      `.${good}`,
      '..',
      '',
      'x'.repeat(10_000),
    ]) {
      expect(check(bad)).toBeUndefined();
    }
    expect(check(good)).toEqual(claims);
  });

  test('refuses claims that are not an object, even with a valid signature', () => {
    const secret = 'right';
    const check = openHmacCheck({ algorithm: 'HS256', secret });
    for (const claims of [[], 'ann', 1, null, true]) {
      const token = tokenOf({ algorithm: 'HS256', secret, claims: claims as object });
      expect(check(token)).toBeUndefined();
    }
  });
});

test('A generational cache holds at most two generations, and keeps entries that are read', () => {
  const memory = openGenerationalCache<number>({ youngMax: 10 });
  for (let n = 0; n < 100; n += 1) {
    memory.set(`k${n}`, n);
    expect(memory.get('k0')).toBe(0);
  }
  const kept = Array.from({ length: 100 }, (_, n) => memory.get(`k${n}`) !== undefined);
  expect(kept.filter(Boolean).length).toBeLessThanOrEqual(21);
  expect(memory.get('k99')).toBe(99);
});

test('A rate limiter counts each name alone, starts anew each window, and holds a bounded number of names', () => {
  let now = 0;
  const limiter = openRateLimiter({ requestsMax: 2, windowMs: 100, namesMax: 3, now: () => now });
  expect([limiter.take('a'), limiter.take('a'), limiter.take('b')]).toEqual([0, 0, 0]);
  now = 40;
  expect(limiter.take('a')).toBe(60);
  now = 100;
  expect(limiter.take('a')).toBe(0);
  for (const name of ['b', 'c', 'd', 'e']) expect(limiter.take(name)).toBe(0);
});

test('A rate limiter with shared slots refuses a lone name at the same request as one without', () => {
  const limits = { requestsMax: 6, windowMs: 100, namesMax: 3 };
  let now = 0;
  const limiter = openRateLimiter({ ...limits, sharedMax: 3, now: () => now });
  const takes = (name: string, count: number) =>
    Array.from({ length: count }, () => limiter.take(name) > 0);
  expect(takes('ann', 8)).toEqual([false, false, false, false, false, false, true, true]);
  // Names that press a few times are not remembered, so that more than namesMax start nothing anew.
  for (const name of ['bob', 'cid', 'dan', 'eve', 'fay'])
    expect(takes(name, 3)).not.toContain(true);
  expect(takes('ann', 1)).toEqual([true]);
  now = 100;
  expect(takes('ann', 7).indexOf(true)).toBe(6);
});
