import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSigner } from 'fast-jwt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newMerchantId } from '../../../src/domain/ids.ts';
import { openBuyers, openSigner, type TokenRules } from '../../../src/http/auth/buyers.ts';
import { leewayMs } from '../../../src/http/auth/claims.ts';
import { openMerchantKeys } from '../../../src/http/auth/merchants.ts';
import { newApiKey } from '../../../src/ledger/merchants.ts';
import { startTestEngine, type TestEngine, testTokens } from '../../support/engine.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), settling: false });
});
afterAll(() => engine?.stop());

const rules = testTokens as TokenRules & { kind: 'secret' };
const inAnHour = () => Math.floor(Date.now() / 1_000) + 3_600;
const claims = () => ({ iss: rules.issuer, aud: rules.audience, sub: 'ann', exp: inAnHour() });

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

function signed(payload: object, header: object = { alg: 'HS256', typ: 'JWT' }): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createHmac('sha256', rules.secret).update(input).digest('base64url')}`;
}

/** Without credentials there is no error code: the client may not know yet that it needs some. */
function expectChallenge(header: unknown, reason: string): void {
  if (reason === 'missing') expect(header).toBe('Bearer realm="flashdrop"');
  else {
    expect(header).toMatch(
      /^Bearer realm="flashdrop", error="invalid_token", error_description="[\w ,]+"$/,
    );
  }
}

const { privateKey, publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2_048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

describe("A buyer's token", () => {
  test('is accepted when valid, also with a lowercase "bearer"', async () => {
    for (const authorization of [`Bearer ${signed(claims())}`, `bearer ${signed(claims())}`]) {
      const answer = await engine.app.inject({ url: '/v1/wallet', headers: { authorization } });
      expect(answer.statusCode, answer.body).toBe(200);
    }
  });

  const bad: [string, () => string | undefined][] = [
    ['missing', () => undefined],
    ['empty', () => 'Bearer '],
    ['of another scheme', () => `Basic ${signed(claims())}`],
    ['no JWT', () => 'Bearer nonsense'],
    ['given with blanks', () => `Bearer ${signed(claims())} x`],
    ['of 10 KB', () => `Bearer ${signed({ ...claims(), pad: 'x'.repeat(7_000) })}`],
    ['with alg none', () => `Bearer ${encode({ alg: 'none' })}.${encode(claims())}.`],
    ['with alg None and a signature', () => `Bearer ${signed(claims(), { alg: 'None' })}`],
    ['with another HMAC', () => `Bearer ${signed(claims(), { alg: 'HS512' })}`],
    [
      'signed with a private key',
      () => `Bearer ${createSigner({ key: privateKey, algorithm: 'RS256' })(claims())}`,
    ],
    ['without a signature', () => `Bearer ${signed(claims()).split('.').slice(0, 2).join('.')}.`],
    ['with a changed payload', () => changed()],
    [
      'with another secret',
      () => `Bearer ${createSigner({ key: 'other', algorithm: 'HS256' })(claims())}`,
    ],
    ['expired', () => `Bearer ${signed({ ...claims(), exp: inAnHour() - 7_200 })}`],
    ['without exp', () => `Bearer ${signed({ ...claims(), exp: undefined })}`],
    ['that never expires', () => `Bearer ${signedText('"exp":1e400')}`],
    ['with exp as text', () => `Bearer ${signed({ ...claims(), exp: String(inAnHour()) })}`],
    ['not valid yet', () => `Bearer ${signed({ ...claims(), nbf: inAnHour() })}`],
    ['of another issuer', () => `Bearer ${signed({ ...claims(), iss: 'https://evil.test' })}`],
    ['without an issuer', () => `Bearer ${signed({ ...claims(), iss: undefined })}`],
    ['for another audience', () => `Bearer ${signed({ ...claims(), aud: 'shop' })}`],
    ['without an audience', () => `Bearer ${signed({ ...claims(), aud: undefined })}`],
    ['without sub', () => `Bearer ${signed({ ...claims(), sub: undefined })}`],
    ['with sub as a number', () => `Bearer ${signed({ ...claims(), sub: 7 })}`],
    ['with an empty sub', () => `Bearer ${signed({ ...claims(), sub: '' })}`],
    ['with a sub of 256', () => `Bearer ${signed({ ...claims(), sub: 'x'.repeat(256) })}`],
    ['with a line break in sub', () => `Bearer ${signed({ ...claims(), sub: 'a\nb' })}`],
    ['with a blank in sub', () => `Bearer ${signed({ ...claims(), sub: 'a b' })}`],
    [
      'with a critical extension',
      () => `Bearer ${signed(claims(), { alg: 'HS256', crit: ['x'] })}`,
    ],
    ["that is a merchant's key", () => 'Bearer fdk_abcdefghjkmn_secret'],
  ];

  function changed(): string {
    const [header, , signature] = signed(claims()).split('.');
    return `Bearer ${header}.${encode({ ...claims(), sub: 'bob' })}.${signature}`;
  }

  function signedText(member: string): string {
    const payload = JSON.stringify(claims()).replace(/"exp":\d+/, member);
    const input = `${encode({ alg: 'HS256' })}.${Buffer.from(payload).toString('base64url')}`;
    return `${input}.${createHmac('sha256', rules.secret).update(input).digest('base64url')}`;
  }

  test.for(bad)('%s is 401', async ([, make]) => {
    const authorization = make();
    const answer = await engine.app.inject({
      url: '/v1/wallet',
      headers: authorization === undefined ? {} : { authorization },
    });
    expect(answer.statusCode, answer.body).toBe(401);
    expect(answer.json().code).toBe('unauthorized');
  });

  const told: [reason: string, () => string | undefined][] = [
    ['missing', () => undefined],
    ['missing', () => `Basic ${signed(claims())}`],
    ['malformed', () => 'Bearer'],
    ['malformed', () => 'Bearer '],
    ['malformed', () => 'Bearer nonsense'],
    ['malformed', () => `bearer ${signed(claims())} x`],
    ['malformed', () => 'Bearer fdk_abcdefghjkmn_secret'],
    ['expired', () => `Bearer ${signed({ ...claims(), exp: inAnHour() - 7_200 })}`],
    ['not_yet_valid', () => `Bearer ${signed({ ...claims(), nbf: inAnHour() })}`],
    ['invalid', () => `Bearer ${signed({ ...claims(), aud: 'shop' })}`],
    ['invalid', () => changed()],
  ];
  test('A 401 says whether credentials are missing, malformed, expired or invalid, in the words of RFC 6750', async () => {
    for (const [reason, make] of told) {
      const authorization = make();
      const headers = authorization === undefined ? {} : { authorization };
      const answer = await engine.app.inject({ url: '/v1/wallet', headers });
      expect(answer.json(), authorization).toMatchObject({ status: 401, reason });
      expectChallenge(answer.headers['www-authenticate'], reason);
    }
  });

  test('is not accepted from the cache after it has expired', () => {
    let now = Date.now();
    const buyers = openBuyers(rules, () => now);
    const authorization = `Bearer ${openSigner(rules)('ann', 60_000)}`;
    expect(buyers.identify(authorization)).toBe('ann');
    expect(buyers.identify(authorization)).toBe('ann');
    now += 60_000 + leewayMs + 1_000;
    expect(buyers.identify(authorization)).toMatchObject({ reason: 'expired' });
    expect(buyers.identify(authorization)).toMatchObject({ reason: 'expired' });
  });
});

describe('With the keys of an identity service,', () => {
  let server: Server;
  let url: string;
  let fetches = 0;
  let broken = false;
  const jwk = { ...importJwk(publicKey), kid: 'key-1', use: 'sig', alg: 'RS256' };
  const stranger = generateKeyPairSync('rsa', {
    modulusLength: 2_048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });

  beforeAll(async () => {
    server = createServer((_request, response) => {
      fetches += 1;
      if (broken) response.writeHead(500).end('oops');
      else response.end(JSON.stringify({ keys: [{ kty: 'oct', k: 'x', kid: 'oct' }, jwk] }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  });
  afterAll(() => server.close());

  const keyed = (): TokenRules => ({
    kind: 'jwks',
    algorithm: 'RS256',
    url,
    issuer: rules.issuer as string,
    audience: rules.audience as string,
  });
  const sign = (options: { kid?: string; key?: string } = {}) =>
    `Bearer ${createSigner({
      key: options.key ?? privateKey,
      algorithm: 'RS256',
      ...('kid' in options && options.kid === undefined ? {} : { kid: options.kid ?? 'key-1' }),
    })(claims())}`;

  test('a token signed by one of them is accepted, and the keys are fetched once', async () => {
    const buyers = openBuyers(keyed());
    fetches = 0;
    const found = await Promise.all([buyers.identify(sign()), buyers.identify(sign())]);
    expect(found).toEqual(['ann', 'ann']);
    expect(buyers.identify(sign())).toBe('ann');
    expect(fetches).toBe(1);
  });

  test.for([
    ['by a stranger', () => sign({ key: stranger.privateKey })],
    ['by HMAC over the public key', () => hmacOverPublicKey()],
    ['under an unknown key id', () => sign({ kid: 'key-2' })],
    ['under a key id that is a path', () => sign({ kid: '../../etc/passwd' })],
    ['under a key id that is an address', () => sign({ kid: 'http://evil.test/jwks' })],
    ['under a key of another kind', () => sign({ kid: 'oct' })],
    ['with alg none', () => `Bearer ${encode({ alg: 'none', kid: 'key-1' })}.${encode(claims())}.`],
    ['with a key in its header', () => ownKey()],
  ] as const)('a token signed %s is refused', async ([, make]) => {
    const buyers = openBuyers(keyed());
    expect(await buyers.identify(sign())).toBe('ann');
    expect(await buyers.identify(make())).toHaveProperty('reason');
  });

  test('a token that one of them has signed is told to be expired or not valid yet', async () => {
    const buyers = openBuyers(keyed());
    const bearer = (times: object) =>
      `Bearer ${createSigner({ key: privateKey, algorithm: 'RS256', kid: 'key-1' })({ ...claims(), ...times })}`;
    const expired = bearer({ exp: inAnHour() - 7_200 });
    expect(await buyers.identify(expired)).toMatchObject({ reason: 'expired' });
    expect(await buyers.identify(bearer({ nbf: inAnHour() }))).toMatchObject({
      reason: 'not_yet_valid',
    });
    const forged = `${expired.slice(0, expired.lastIndexOf('.'))}.${'A'.repeat(342)}`;
    expect(await buyers.identify(forged)).toMatchObject({ reason: 'invalid' });
    expect(await buyers.identify('Bearer a.b')).toMatchObject({ reason: 'malformed' });
  });

  function hmacOverPublicKey(): string {
    const input = `${encode({ alg: 'HS256', kid: 'key-1' })}.${encode(claims())}`;
    return `Bearer ${input}.${createHmac('sha256', publicKey).update(input).digest('base64url')}`;
  }

  function ownKey(): string {
    const own = createSigner({
      key: stranger.privateKey,
      algorithm: 'RS256',
      header: { alg: 'RS256', jwk: importJwk(stranger.publicKey), kid: 'key-1' },
    });
    return `Bearer ${own(claims())}`;
  }

  test('a flood of made-up key ids does not become a flood of requests to the key server', async () => {
    const buyers = openBuyers(keyed());
    await buyers.identify(sign());
    fetches = 0;
    for (let n = 0; n < 100; n += 1) await buyers.identify(sign({ kid: `made-up-${n}` }));
    expect(fetches).toBeLessThanOrEqual(1);
  });

  test('known keys stay in use while the key server is down; without any keys it is an outage', async () => {
    const buyers = openBuyers(keyed());
    await buyers.identify(sign());
    broken = true;
    try {
      expect(buyers.identify(sign())).toBe('ann');
      await expect(openBuyers(keyed()).identify(sign())).rejects.toThrow('the key set');
    } finally {
      broken = false;
    }
  });
});

describe("A merchant's API key", () => {
  test('An API key is refused when unknown, changed or revoked, and a buyer token is not accepted as one', async () => {
    const { apiKey } = await engine.merchant();
    const ask = (key: string) =>
      engine.app.inject({ url: '/v1/drops', headers: { authorization: `Bearer ${key}` } });
    expect((await ask(apiKey)).statusCode).toBe(200);
    for (const key of [`${apiKey}x`, apiKey.slice(0, -1), 'fdk_x_y', signed(claims()), '']) {
      const answer = await ask(key);
      expect(answer.statusCode).toBe(401);
      const reason = key.startsWith('fdk_') ? 'invalid' : 'malformed';
      expect(answer.json()).toMatchObject({ reason });
      expectChallenge(answer.headers['www-authenticate'], reason);
    }
    const none = await engine.app.inject({ url: '/v1/drops' });
    expect(none.json()).toMatchObject({ status: 401, reason: 'missing' });
    expectChallenge(none.headers['www-authenticate'], 'missing');
  });

  test('is looked up in the ledger once in a few seconds, and refused soon after it was revoked', async () => {
    let now = 0;
    let asked = 0;
    let revoked = false;
    const merchant = newMerchantId();
    const keys = openMerchantKeys({
      now: () => now,
      verifyAll: async (apiKeys) => {
        asked += 1;
        return apiKeys.map(() => (revoked ? undefined : merchant));
      },
    });
    const bearer = `Bearer ${newApiKey()}`;
    for (let n = 0; n < 5; n += 1) expect(await keys.identify(bearer)).toBe(merchant);
    expect(asked).toBe(1);
    revoked = true;
    now = 10_000;
    expect(await keys.identify(bearer)).toMatchObject({ reason: 'invalid' });
  });
});

function importJwk(pem: string): object {
  return createPublicKey(pem).export({ format: 'jwk' });
}
