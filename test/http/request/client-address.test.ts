import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clientAddress } from '../../../src/http/request/client-address.ts';
import { openFastify } from '../../../src/http/server/fastify.ts';
import { warnOfForwarded } from '../../../src/http/server/forwarded.ts';
import type { ClientWish } from '../../../src/payments/provider.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

/** Wishes as the provider has them: what WeChat Pay is told as the payer's address is in them. */
const wishes: ClientWish[] = [];
let engine: TestEngine;
let order: string;

beforeAll(async () => {
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settling: false,
    settings: { trustedProxies: ['loopback', '10.0.0.0/8', 'fd00::/8'] },
    provider: (wallet) => ({
      ...wallet,
      refuseWish(wish) {
        wishes.push(wish);
        return { field: 'scene', reason: 'is of a test' };
      },
    }),
  });
  const drop = await engine.publish((await engine.merchant()).id);
  const bought = await engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/orders`,
    headers: { ...engine.buyer('ann'), 'idempotency-key': 'k' },
    payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
  });
  order = bought.json().id;
});
afterAll(() => engine?.stop());

/** The address that a provider is told when a buyer pays over these hops. */
async function told(peer: string, forwarded?: string): Promise<string | undefined> {
  const answer = await engine.app.inject({
    method: 'POST',
    url: `/v1/orders/${order}/payment`,
    remoteAddress: peer,
    headers: {
      ...engine.buyer('ann'),
      ...(forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }),
    },
    payload: { method: 'wallet' },
  });
  expect(answer.statusCode, answer.body).toBe(400);
  return wishes.pop()?.ip;
}

const client = '198.51.100.1';
test.for([
  ['of a trusted proxy', '127.0.0.1', client, client],
  ['of a trusted proxy over IPv6', '::1', '2001:db8::7', '2001:db8::7'],
  ['of a trusted proxy on a socket for both versions', '::ffff:127.0.0.1', client, client],
  ['through two trusted proxies', '127.0.0.1', `${client}, 10.1.2.3`, client],
  ['through trusted proxies of both versions', 'fd00::1', `${client}, ::ffff:10.1.2.3`, client],
  ['with a made-up beginning', '127.0.0.1', `6.6.6.6, ${client}`, client],
  ['with a made-up trusted beginning', '127.0.0.1', `127.0.0.1, 10.0.0.1, ${client}`, client],
  ['with a port', '127.0.0.1', `${client}:5000`, client],
  ['with a port and brackets', '127.0.0.1', '[2001:db8::7]:443', '2001:db8::7'],
  ['of IPv4 in IPv6', '127.0.0.1', `::ffff:${client}`, client],
  ['that is no address', '127.0.0.1', 'unknown', undefined],
  ['of a stranger who claims another', '203.0.113.9', client, '203.0.113.9'],
  ['of a stranger who claims a trusted one', '203.0.113.9', '127.0.0.1', '203.0.113.9'],
  ['of a stranger on a socket for both versions', '::ffff:203.0.113.9', client, '203.0.113.9'],
  ['of a proxy that says nothing', '127.0.0.1', undefined, '127.0.0.1'],
] as const)(
  'The address of a buyer is taken from trusted proxies alone: %s',
  async ([, peer, forwarded, expected]) => {
    expect(await told(peer, forwarded)).toBe(expected);
  },
);

test('The engine warns of a proxy that it does not trust', async () => {
  const said = () => engine.logged.filter((line) => line.includes('FLASHDROP_TRUSTED_PROXIES='));
  // One request a second is looked at.
  await eventually(async () => {
    await told('203.0.113.9', client);
    return said().length > 0;
  });
  await told('203.0.113.9', client);
  expect(said()).toHaveLength(1);
});

test.for([
  ['none is trusted', [], 'FLASHDROP_TRUSTED_PROXIES=192.0.2.80'],
  ['another is trusted', ['10.0.0.0/8'], 'FLASHDROP_TRUSTED_PROXIES=10.0.0.0/8,192.0.2.80'],
] as const)(
  'When X-Forwarded-For comes from a proxy that is not trusted, one line of the log says what to set: %s',
  async ([, trusted, advice]) => {
    const lines: string[] = [];
    const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
    const trustedProxies = [...trusted];
    const app = openFastify({ settings: { trustedProxies }, log, onShed() {} });
    let at = 0;
    warnOfForwarded(app, { log, clock: { now: () => at }, trustedProxies });
    app.get('/', async () => 'here');
    const send = (remoteAddress: string, forwarded?: string) =>
      app.inject({
        url: '/',
        remoteAddress,
        headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
      });
    await send('192.0.2.80');
    if (trusted.length > 0) await send('10.1.2.3', client);
    expect(lines).toEqual([]);
    at += 1_000;
    for (let n = 0; n < 50; n += 1) await send('::ffff:192.0.2.80', `198.51.100.${n}`);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 40 });
    expect(lines[0]).toContain(advice);
    await app.close();
  },
);

test('Of the requests with X-Forwarded-For one a second has its address looked up for the warning, and none for ten minutes after it', async () => {
  const log = { warn: () => {} };
  const app = openFastify({ settings: {}, log: pino({ level: 'silent' }), onShed() {} });
  let [at, looks] = [0, 0];
  app.addHook('onRequest', (request, _reply, done) => {
    Object.defineProperty(request, 'ip', {
      get() {
        looks += 1;
        // A trusted proxy until the last minute.
        return at < 60_000 ? client : request.socket.remoteAddress;
      },
    });
    done();
  });
  warnOfForwarded(app, { log, clock: { now: () => at } });
  app.get('/', async () => 'here');
  const looked = async (requests: number) => {
    looks = 0;
    for (let n = 0; n < requests; n += 1) {
      await app.inject({ url: '/', headers: { 'x-forwarded-for': client } });
    }
    return looks;
  };
  expect([await looked(20), await looked(20)]).toEqual([1, 0]);
  at = 1_000;
  expect(await looked(20)).toBe(1);
  at = 60_000;
  await looked(1);
  at += 599_999;
  expect(await looked(20)).toBe(0);
  await app.close();
});

test('An address loses the zone of its interface, and what is no address is none', () => {
  expect(clientAddress({ ip: 'fe80::1%eth0' })).toBe('fe80::1');
  for (const ip of [
    '',
    'x',
    '1.2.3',
    '1.2.3.4.5',
    '::ffff:1.2.3.999',
    '1.2.3.4, 5.6.7.8',
    undefined,
  ]) {
    expect(clientAddress({ ip }), ip).toBeUndefined();
  }
});
