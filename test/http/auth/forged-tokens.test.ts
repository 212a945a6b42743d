import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSigner } from 'fast-jwt';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { QueueFull } from '../../../src/batching/batcher.ts';
import { type CheckLimits, openBuyers } from '../../../src/http/auth/buyers.ts';
import { openTokenChecks } from '../../../src/http/limits/token-checks.ts';
import { eventually } from '../../support/eventually.ts';

// Tokens under a key set whose signatures are wrong, on a clock that the test moves.

const newPair = () =>
  generateKeyPairSync('rsa', {
    modulusLength: 2_048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
const [genuine, forger] = [newPair(), newPair()];

let server: Server;
let url: string;
/** Of the pace, in ms. */
let now: number;

beforeAll(async () => {
  const jwk = createPublicKey(genuine.publicKey).export({ format: 'jwk' });
  const set = JSON.stringify({ keys: [{ ...jwk, kid: 'one' }] });
  server = createServer((_request, response) => void response.end(set));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
});
afterAll(() => server.close());
beforeEach(() => {
  now = 0;
});

/** In one slice of ten milliseconds so many tokens of paced networks may fail. */
const failuresInSlice = 16;
const sliceMs = 10;
const limits = { failuresMax: 50, failuresMaxInAll: 200 };

const sign = (sub: string, { pair = genuine, kid = 'one', claims = {} } = {}) => {
  const signer = createSigner({ key: pair.privateKey, algorithm: 'RS256', kid });
  return `Bearer ${signer({ sub, exp: Math.floor(Date.now() / 1_000) + 3_600, ...claims })}`;
};
const forged = sign('ann', { pair: forger });

/** Buyers whose keys are fetched, so that a token is checked before `identify` returns, or waits. */
async function open({
  checks = openTokenChecks({ ...limits, now: () => now }),
  clock = Date.now,
}: {
  checks?: CheckLimits;
  clock?: () => number;
} = {}) {
  const buyers = openBuyers({ kind: 'jwks', algorithm: 'RS256', url }, clock, { checks });
  await buyers.identify(sign('first'), { ip: '198.51.100.1' });
  const at = (ip: string) => (authorization: string) => buyers.identify(authorization, { ip });
  /** Sends forged tokens until one waits; returns how many were checked at once. */
  const flood = (ip: string, most = 1_000) => {
    for (let n = 0; n < most; n += 1) {
      if (at(ip)(forged) instanceof Promise) return n;
    }
    return most;
  };
  return { at, flood };
}

test('The address of a caller whose token is remembered is not asked for', async () => {
  const buyers = openBuyers({ kind: 'jwks', algorithm: 'RS256', url }, Date.now, {
    checks: openTokenChecks({ ...limits, now: () => now }),
  });
  const token = sign('ann');
  expect(await buyers.identify(token, { ip: '203.0.113.7' })).toBe('ann');
  const asked = {
    get ip(): string {
      throw new Error('asked for');
    },
  };
  expect(await buyers.identify(token, asked)).toBe('ann');
});

describe('Forged tokens', () => {
  test('A stranger who sends two hundred forged tokens a second delays nobody behind the same address', async () => {
    const { at, flood } = await open();
    const here = at('203.0.113.7');
    flood('203.0.113.7', limits.failuresMax);
    for (let slice = 1; slice <= 5; slice += 1) {
      now = slice * sliceMs;
      for (let n = 0; n < 2; n += 1) expect(here(forged)).toMatchObject({ reason: 'invalid' });
      for (let n = 0; n < 20; n += 1) expect(here(sign(`b-${slice}-${n}`))).toBe(`b-${slice}-${n}`);
    }
  });

  test('A network that sent many forged tokens has the failures of further ones paced, while good ones from there and all from elsewhere are accepted', async () => {
    const { at, flood } = await open();
    const [flooded, elsewhere] = ['2001:db8:1:2::7', '203.0.113.7'];
    expect(flood(flooded)).toBe(limits.failuresMax + failuresInSlice);
    const crowd = Array.from({ length: 1_500 }, () => at(flooded)(forged));
    const settled = Promise.allSettled(crowd);
    expect(crowd.every((found) => found instanceof Promise)).toBe(true);
    expect(at(elsewhere)(forged)).toMatchObject({ reason: 'invalid' });
    expect(at(elsewhere)(sign('bob'))).toBe('bob');
    // Another address of the network. The next token from there may take its place, so it may be sent again.
    const cat = sign('cat');
    const neighbour = at('2001:db8:1:2:ffff::8');
    const ticking = setInterval(() => {
      now += sliceMs;
    }, 1);
    await eventually(async () => (await neighbour(cat)) === 'cat');
    // From now on it waits for nobody.
    expect(neighbour(cat)).toBe('cat');
    const outcomes = await settled;
    clearInterval(ticking);
    const full = outcomes.filter((one) => one.status === 'rejected');
    expect(full.every(({ reason }) => reason instanceof QueueFull)).toBe(true);
    expect(full.length).toBeGreaterThanOrEqual(500);
  });

  test('Forged tokens from many networks are paced once all have had their failures, and a network that sent none is not', async () => {
    const { at, flood } = await open();
    const network = (n: number) => `2001:db8:1:${n.toString(16)}::1`;
    for (let n = 0; n < 100; n += 1) flood(network(n), 2);
    let atOnce = 0;
    for (let n = 0; n < 100; n += 1) atOnce += flood(network(n));
    expect(atOnce).toBe(failuresInSlice);
    expect(at('203.0.113.7')(sign('bob'))).toBe('bob');
    // Ten seconds later all begin anew.
    now += 10_000;
    expect(at(network(99))(forged)).toMatchObject({ reason: 'invalid' });
  });

  test('When a thousand tokens wait and ten new seconds begin, or all of them are good, they are checked in small parts with other requests between them', async () => {
    const checks = openTokenChecks({ failuresMax: 1_100, failuresMaxInAll: 9_000, now: () => now });
    const ip = '203.0.113.7';
    let checked = 0;
    const good = () => {
      checked += 1;
    };
    const bad = () => {
      checked += 1;
      checks.failed(ip);
    };
    const partMax = 64;
    for (const [check, laterMs] of [
      [bad, 10_000],
      [good, sliceMs],
    ] as const) {
      while (!(checks.run(ip, bad) instanceof Promise));
      const waiting = Array.from({ length: 999 }, () => checks.run(ip, check));
      checked = 0;
      now += laterMs;
      // Those who come now start one part at most, however many they are.
      for (let n = 0; n < 20; n += 1) checks.run('203.0.113.7', good);
      expect(checked).toBeLessThanOrEqual(partMax + 20);
      const parts: number[] = [];
      while (checked < 1_000) {
        const before = checked;
        await new Promise((resolve) => setImmediate(resolve));
        parts.push(checked - before);
      }
      await Promise.all(waiting);
      // A timer and what it leaves to the end of its turn are two.
      expect(Math.max(...parts)).toBeLessThanOrEqual(2 * partMax);
    }
  });

  test('A token that is refused before its signature is checked does not count as a failed check', async () => {
    const { at, flood } = await open();
    const here = at('203.0.113.7');
    const withoutCheck = [
      sign('ann', { kid: 'unknown' }),
      `${otherAlgorithm()}.c2ln`,
      forged.replace(/\.[^.]+\./, '.bm8ganNvbg.'),
    ];
    for (const token of withoutCheck) {
      for (let n = 0; n < limits.failuresMax; n += 1) await here(token);
    }
    expect(flood('203.0.113.7')).toBe(limits.failuresMax + failuresInSlice);
  });

  test('When a buyer has sent six requests at once and they wait, one check of the token serves all', async () => {
    const waiting: (() => void)[] = [];
    let isOpen = true;
    let clock = Date.now();
    const checks: CheckLimits = {
      run: (_, check) =>
        isOpen ? check() : new Promise((resolve) => waiting.push(() => resolve(check()))),
      failed() {},
    };
    const { at } = await open({ checks, clock: () => clock });
    isOpen = false;
    const ann = sign('ann', { claims: { nbf: Math.floor(clock / 1_000) } });
    const asked = Array.from({ length: 6 }, () => at('203.0.113.7')(ann));
    waiting.shift()?.();
    // A check would find the token not valid yet; what is remembered is not checked again.
    clock -= 3_600_000;
    for (const start of waiting) start();
    expect(await Promise.all(asked)).toEqual(Array(6).fill('ann'));
  });
});

/** The head and claims of a token under another algorithm. */
function otherAlgorithm(): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `Bearer ${part({ alg: 'HS256', kid: 'one' })}.${part({ sub: 'ann' })}`;
}
