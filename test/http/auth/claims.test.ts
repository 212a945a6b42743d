import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { judgeClaims, leewayMs } from '../../../src/http/auth/claims.ts';
import { openCsvReader, openNdjsonReader } from '../../../src/http/import/buyers.ts';
import { startTestEngine, type TestEngine, testTokens } from '../../support/engine.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

const now = 1_800_000_000_000;
const seconds = now / 1_000;
const leeway = leewayMs / 1_000;
const good = { sub: 'ann', exp: seconds + 60 };
const judge = (claims: object) => judgeClaims({ ...good, ...claims }, {}, now);
const accepted = { buyer: 'ann' };

describe('the times of a token', () => {
  test('A clock of the identity service that is ten seconds off, either way, costs nobody an answer', () => {
    expect(leewayMs).toBe(10_000);
    expect(judge({ nbf: seconds + 2, iat: seconds + 2 })).toMatchObject(accepted);
    expect(judge({ nbf: seconds + leeway })).toMatchObject(accepted);
    expect(judge({ nbf: seconds + leeway + 1 })).toMatchObject({ reason: 'not_yet_valid' });
    expect(judge({ exp: seconds - leeway + 1 })).toMatchObject(accepted);
    expect(judge({ exp: seconds - leeway })).toMatchObject({ reason: 'expired' });
  });

  test('A time with a fraction is taken; one that is no time is refused in words', () => {
    for (const name of ['exp', 'nbf', 'iat']) {
      const base = name === 'exp' ? seconds + 60 : seconds - 60;
      expect(judge({ [name]: base + 0.5 }), name).toMatchObject(accepted);
      for (const wrong of [1e300, 1e15, base * 1_000, -1, String(base), null, true, [base], {}]) {
        expect(judge({ [name]: wrong }), `${name} ${wrong}`).toMatchObject({
          reason: 'invalid',
          description: expect.stringContaining('seconds since the epoch'),
        });
      }
    }
  });
});

describe('the length of a token', () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startTestEngine({ redisUrl: sharedRedisUrl(), settling: false });
  });
  afterAll(() => engine?.stop());

  function authorization(claims: object): string {
    if (testTokens.kind !== 'secret') throw new Error('bug: the tests sign with a secret');
    const { secret, issuer, audience } = testTokens;
    const parts = [
      { alg: 'HS256', typ: 'JWT' },
      { iss: issuer, aud: audience, exp: Math.floor(Date.now() / 1_000) + 60, ...claims },
    ];
    const input = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
    const signature = createHmac('sha256', secret).update(input.join('.')).digest('base64url');
    return `Bearer ${[...input, signature].join('.')}`;
  }

  test('A buyer whose sub has 255 characters can do all that a buyer can, and one of 256 is told why not', async () => {
    const sub = 'x'.repeat(255);
    const headers = { authorization: authorization({ sub }) };
    const { id } = await engine.merchant();
    const drop = await engine.publish(id);
    const bought = await engine.app.inject({
      method: 'POST',
      url: `/v1/drops/${drop.id}/orders`,
      headers: { ...headers, 'idempotency-key': 'k' },
      payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
    });
    expect(bought.statusCode, bought.body).toBe(202);
    const order = `/v1/orders/${bought.json().id}`;
    expect((await engine.app.inject({ url: order, headers })).statusCode).toBe(200);
    const password = await engine.app.inject({
      method: 'PUT',
      url: '/v1/wallet/password',
      headers,
      payload: { password: '481516' },
    });
    expect(password.statusCode, password.body).toBe(204);

    const readers = [openNdjsonReader({}).read(`"${sub}"`), openCsvReader({}).read(sub)];
    expect(readers).toEqual([sub, sub]);

    const longer = { authorization: authorization({ sub: `${sub}x` }) };
    const refusal = await engine.app.inject({ url: '/v1/wallet', headers: longer });
    expect(refusal.statusCode).toBe(401);
    expect(refusal.headers['www-authenticate']).toContain('sub must be 1 to 255');
  });

  test('A valid token of more than 4,096 characters is taken, and one above 8,192 is told why not', async () => {
    const ask = (pad: number) =>
      engine.app.inject({
        url: '/v1/wallet',
        headers: { authorization: authorization({ sub: 'ann', pad: 'x'.repeat(pad) }) },
      });
    expect((await ask(3_500)).statusCode).toBe(200);
    expect((await ask(5_800)).statusCode).toBe(200);
    const refusal = await ask(6_200);
    expect(refusal.statusCode).toBe(401);
    expect(refusal.headers['www-authenticate']).toContain('more than 8192 characters');
  });
});
