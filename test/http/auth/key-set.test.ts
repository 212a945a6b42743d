import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSigner } from 'fast-jwt';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openBuyers, type TokenRules } from '../../../src/http/auth/buyers.ts';
import { leewayMs } from '../../../src/http/auth/claims.ts';
import type { KeySetEvent } from '../../../src/http/auth/jwks.ts';
import { eventually } from '../../support/eventually.ts';

const newPair = () =>
  generateKeyPairSync('rsa', {
    modulusLength: 2_048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
const [first, second] = [newPair(), newPair()];
const curve = (namedCurve: string) => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve });
  return publicKey.export({ format: 'jwk' });
};
const jwkOf = (pair: { publicKey: string }, kid?: unknown) => ({
  ...createPublicKey(pair.publicKey).export({ format: 'jwk' }),
  ...(kid === undefined ? {} : { kid }),
});

let server: Server;
let url: string;
let set: unknown;
let fetches: number;
/** Both clocks, in ms: the one of the times in tokens, and the one that measures the age of keys. */
let now: number;

beforeAll(async () => {
  server = createServer((_request, response) => {
    fetches += 1;
    if (set === undefined) response.writeHead(500).end('oops');
    else response.end(JSON.stringify(set));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
});
afterAll(() => server.close());
beforeEach(() => {
  set = { keys: [jwkOf(first, 'first')] };
  fetches = 0;
  now = Date.now();
});

function open(algorithm: 'RS256' | 'ES256' = 'RS256') {
  const rules: TokenRules = { kind: 'jwks', algorithm, url, issuer: 'id', audience: 'flashdrop' };
  const events: KeySetEvent[] = [];
  const onKeySet = (event: KeySetEvent) => events.push(event);
  const buyers = openBuyers(rules, () => now, { elapsed: () => now, onKeySet });
  const identify = async (token: string) => {
    const found = await buyers.identify(`Bearer ${token}`);
    return typeof found === 'string' ? found : found.reason;
  };
  return { ...buyers, events, identify };
}

function token(
  { kid, pair = first }: { kid?: string | undefined; pair?: typeof first },
  claims: object = {},
): string {
  const sign = createSigner({
    key: pair.privateKey,
    algorithm: 'RS256',
    noTimestamp: true,
    ...(kid ? { kid } : {}),
  });
  const seconds = Math.floor(now / 1_000);
  return sign({ iss: 'id', aud: 'flashdrop', sub: 'ann', exp: seconds + 36_000, ...claims });
}

const minutes = 60_000;

describe('a key that the identity service withdraws', () => {
  test('A token that is remembered opens nothing once the set has been fetched without its key', async () => {
    const { identify, events } = open();
    const remembered = token({ kid: 'first' });
    expect([await identify(remembered), await identify(remembered)]).toEqual(['ann', 'ann']);
    set = { keys: [jwkOf(second, 'second')] };
    now += 6 * minutes;
    await identify(remembered);
    await eventually(() => expect(fetches).toBe(2));
    await eventually(async () => expect(await identify(remembered)).toBe('invalid'));
    expect(await identify(token({ kid: 'second', pair: second }))).toBe('ann');
    expect(events.at(-1)).toEqual({ kind: 'fetched', usable: 1, unusable: 0, lost: 1 });
  });

  test('After a silence of more than ten minutes the keys are fetched before a token is accepted', async () => {
    const { identify } = open();
    const early = token({ kid: 'first' });
    expect(await identify(early)).toBe('ann');
    set = { keys: [jwkOf(second, 'second')] };
    now += 11 * minutes;
    expect(await identify(early)).toBe('invalid');
  });

  test('A remembered token is verified anew after five minutes, and expires at its time', async () => {
    const { identify } = open();
    const short = token({ kid: 'first' }, { exp: Math.floor(now / 1_000) + 60 });
    expect(await identify(short)).toBe('ann');
    now += minutes + leewayMs + 1_000;
    expect(await identify(short)).toBe('expired');
  });
});

describe('an identity service that does not answer', () => {
  test('The last keys are used for an hour from the first failure; then tokens are refused as an outage, until it answers', async () => {
    const { identify, events, keysAge } = open();
    expect(await identify(token({ kid: 'first' }))).toBe('ann');
    set = undefined;
    for (let n = 0; n < 7; n += 1) {
      now += 9 * minutes;
      expect(await identify(token({ kid: 'first' }))).toBe('ann');
      const failed = () => events.filter(({ kind }) => kind === 'failed').length;
      await eventually(() => expect(failed()).toBe(n + 1));
    }
    now += 7 * minutes;
    await expect(identify(token({ kid: 'first' }))).rejects.toThrow('the key set');
    expect(events.map(({ kind }) => kind)).toContain('given_up');
    expect(keysAge()).toBe(-1);
    set = { keys: [jwkOf(first, 'first')] };
    now += minutes;
    expect(await identify(token({ kid: 'first' }))).toBe('ann');
    expect(keysAge()).toBe(0);
  });

  test('After hours without a token the keys are fetched anew, and the old ones serve while that fails: nothing is given up', async () => {
    const { identify, events } = open();
    const kinds = () => events.map(({ kind }) => kind);
    expect(await identify(token({ kid: 'first' }))).toBe('ann');
    now += 180 * minutes;
    expect(await identify(token({ kid: 'first' }))).toBe('ann');
    expect(kinds()).toEqual(['fetched', 'fetched']);
    set = undefined;
    now += 180 * minutes;
    expect(await identify(token({ kid: 'first' }))).toBe('ann');
    expect(await identify(token({ kid: 'first' }))).toBe('ann');
    expect(kinds()).toEqual(['fetched', 'fetched', 'failed']);
  });

  test('A set that holds no key for the algorithm is an outage: no token is called invalid for it', async () => {
    set = { keys: [{ kty: 'oct', k: 'x', kid: 'first' }] };
    await expect(open().identify(token({ kid: 'first' }))).rejects.toThrow('no key for RS256');
  });
});

describe('a set with keys that cannot be used', () => {
  const rsa = jwkOf(first);
  const bad: [what: string, keys: unknown[]][] = [
    ['of another algorithm', [{ ...rsa, kid: 'x', alg: 'RS512' }]],
    [
      'for encryption',
      [
        { ...rsa, kid: 'first', use: 'enc' },
        { ...rsa, alg: 'RSA-OAEP' },
      ],
    ],
    ['that may only encrypt', [{ ...rsa, kid: 'first', key_ops: ['encrypt', 'wrapKey'] }]],
    ['of other types', [{ kty: 'oct', k: 'AAAA' }, curve('P-256'), { kty: 'AKP' }, { kty: 7 }]],
    [
      'without numbers',
      [
        { kty: 'RSA', kid: 'first' },
        { ...rsa, n: 5 },
        { ...rsa, n: '' },
      ],
    ],
    ['that are no objects', [null, 7, 'key', [], {}]],
    ['with broken certificates', [{ kty: 'RSA', kid: 'first', x5c: ['no certificate'] }]],
    ['with the same id', [jwkOf(second, 'first'), { ...curve('P-256'), kid: 'first' }]],
    ['with ids that are no text', [jwkOf(second, 7), jwkOf(second, null), jwkOf(second, '')]],
    ['more than a hundred', Array.from({ length: 150 }, () => ({ kty: 'oct', k: 'AAAA' }))],
  ];

  test.each(bad)(
    'Keys %s do no harm to the one that can be used, before or behind it',
    async (_what, keys) => {
      for (const order of [
        [...keys, jwkOf(first, 'first')],
        [jwkOf(first, 'first'), ...keys],
      ]) {
        set = { keys: order };
        const { identify } = open();
        expect(await identify(token({ kid: 'first' }))).toBe('ann');
        expect(await identify(token({ kid: 'first', pair: newPair() }))).toBe('invalid');
      }
    },
  );

  test('A curve that the algorithm does not take is passed over', async () => {
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const keys = ['P-384', 'P-521', 'secp256k1'].map((name) => ({ ...curve(name), kid: name }));
    set = { keys: [...keys, { ...own.publicKey.export({ format: 'jwk' }), kid: 'own' }] };
    const key = own.privateKey.export({ type: 'pkcs8', format: 'pem' });
    const sign = createSigner({ key, algorithm: 'ES256', kid: 'own' });
    const exp = Math.floor(now / 1_000) + 60;
    const made = sign({ iss: 'id', aud: 'flashdrop', sub: 'ann', exp });
    expect(await open('ES256').identify(made)).toBe('ann');
  });

  test('A key without an id serves for tokens with and without one', async () => {
    set = { keys: [jwkOf(first), { ...rsa, use: 'enc', kid: 'other' }] };
    const { identify } = open();
    expect(await identify(token({ kid: 'first' }))).toBe('ann');
    expect(await identify(token({}))).toBe('ann');
    expect(await identify(token({ pair: second }))).toBe('invalid');
  });
});
