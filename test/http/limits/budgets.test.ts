import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { networkOf } from '../../../src/http/limits/addresses.ts';
import { newApiKey } from '../../../src/ledger/merchants.ts';
import { anItem } from '../../support/drops.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { roomInWindow } from '../../support/windows.ts';

// Two processes of one engine, with small budgets.

const budgets = { buyer: 40, merchant: 120, stranger: 60, payment: 3 };

let engine: TestEngine;
let other: TestEngine;
let store: Awaited<ReturnType<TestEngine['merchant']>>;
let drop: Drop;

beforeAll(async () => {
  const redisUrl = sharedRedisUrl();
  engine = await startTestEngine({ redisUrl, settling: false, settings: { budgets } });
  const { ledger, namespace } = engine;
  other = await startTestEngine({
    redisUrl,
    ledger,
    namespace,
    settling: false,
    settings: { budgets },
  });
  store = await engine.merchant();
  drop = await engine.publish(store.id);
});
afterAll(async () => {
  await other?.stop();
  await engine?.stop();
});

const paymentWindowMs = 600_000;

beforeEach(roomInWindow);

type Caller = { authorization?: string };
type Ask = { caller?: Caller; at?: TestEngine; from?: string; payload?: object; key?: string };

async function ask(
  address: string,
  { caller = {}, at = engine, from, payload, key = 'k' }: Ask = {},
) {
  const [method = 'GET', url = ''] = address.split(' ');
  return await at.app.inject({
    method: method as 'GET' | 'POST',
    url,
    headers: { ...caller, ...(key ? { 'idempotency-key': key } : {}) },
    ...(from ? { remoteAddress: from } : {}),
    ...(payload ? { payload } : {}),
  });
}

/** Asks until the answer is 429, which it must be within so many requests. */
async function spend(address: string, options: Ask, most: number) {
  for (let n = 0; n <= most; n += 1) {
    const answer = await ask(address, options);
    if (answer.statusCode === 429) return answer;
  }
  throw new Error(`not refused within ${most} requests`);
}

describe('The budget of a caller', () => {
  test('A buyer who asks without end is refused on every route, with the time to wait, and no other buyer with them', async () => {
    const ann = engine.buyer('ann');
    const refused = await spend('GET /v1/wallet', { caller: ann }, budgets.buyer);
    expect(refused.json()).toMatchObject({ code: 'rate_limited', status: 429 });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    for (const address of [
      'GET /v1/wallet/statement?currency=CNY',
      'GET /v1/orders/ord_aaaaaaaaaaaa_0_AAAAAAAAAAAAAAAAAAAAAA',
      `GET /v1/drops/${drop.id}/appointment`,
      `POST /v1/drops/${drop.id}/orders`,
    ]) {
      const payload = address.startsWith('POST')
        ? { sku: 'phone', quantity: 1, payment: { method: 'wallet' } }
        : undefined;
      const answer = await ask(address, { caller: ann, ...(payload ? { payload } : {}) });
      expect(answer.json().code, address).toBe('rate_limited');
    }
    // From the same address.
    const bob = await ask('GET /v1/wallet', { caller: engine.buyer('bob') });
    expect(bob.statusCode).toBe(200);
  });

  test('Each Buy takes of the budget of its buyer, whatever is wrong with it and also when all is sold', async () => {
    const gone = await engine.publish(store.id, { items: [anItem({ allotment: 1 })] });
    const good = { sku: 'phone', quantity: 1, payment: { method: 'wallet' } };
    const buys = `POST /v1/drops/${gone.id}/orders`;
    const last = await ask(buys, { caller: engine.buyer('una'), payload: good });
    await engine.deps.lanes.confirm({ drop: gone.id, lane: 0 }, [last.json().id.slice(-22)]);
    await eventually(() => engine.deps.catalog.peek(gone.id)?.isSoldOut);
    const floods: [code: string, address: string, options: Ask][] = [
      ['sold_out', buys, { payload: good }],
      ['idempotency_key_missing', `POST /v1/drops/${drop.id}/orders`, { payload: good, key: '' }],
      ['invalid_request', `POST /v1/drops/${drop.id}/orders`, { payload: { quantity: -1 } }],
      ['unknown_drop', 'POST /v1/drops/nonsense/orders', { payload: good }],
    ];
    for (const [code, address, options] of floods) {
      const flood = { ...options, caller: engine.buyer(code) };
      await roomInWindow();
      expect((await ask(address, flood)).json().code).toBe(code);
      expect((await spend(address, flood, budgets.buyer)).json().code, code).toBe('rate_limited');
    }
  });

  test('A budget holds over the processes of an engine', async () => {
    const kim = engine.buyer('kim');
    const bought = await ask(`POST /v1/drops/${drop.id}/orders`, {
      caller: kim,
      payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
    });
    const begin = (at: TestEngine) =>
      ask(`POST /v1/orders/${bought.json().id}/payment`, {
        caller: kim,
        at,
        payload: { method: 'alipay' },
      });
    const shared = async (total: number) => {
      const index = Math.floor(Date.now() / paymentWindowMs);
      const window = { budget: 'payment', index, windowMs: paymentWindowMs };
      const spent = [{ name: `${drop.id} kim`, by: 0 }];
      return (await other.deps.usage?.add(window, spent))?.[0] === total;
    };
    for (let n = 0; n < budgets.payment; n += 1) await begin(engine);
    expect((await begin(engine)).json().code).toBe('rate_limited');
    await eventually(() => shared(budgets.payment));
    // The other process asks about a buyer only once it counts one.
    expect((await begin(other)).json().code).toBe('payment_method_not_offered');
    await eventually(() => shared(budgets.payment + 1));
    // Alone it would let two more begin.
    expect((await begin(other)).json().code).toBe('rate_limited');
  });

  test('What is dear takes more of the budget than what is cheap', async () => {
    const fay = engine.buyer('fay');
    const dear = 'GET /v1/wallet/statement?currency=CNY';
    expect((await ask(dear, { caller: fay })).statusCode).toBe(200);
    expect((await ask(dear, { caller: fay })).json().code).toBe('rate_limited');
    expect((await ask('GET /v1/wallet', { caller: fay })).statusCode).toBe(200);
  });

  test('A merchant has a budget too, and audits take most of it', async () => {
    const mine = await engine.merchant();
    const own = await engine.publish(mine.id);
    await roomInWindow();
    const refused = await spend(`GET /v1/drops/${own.id}/audit`, { caller: mine }, 3);
    expect(refused.json().code).toBe('rate_limited');
    expect((await ask('GET /v1/drops', { caller: store })).statusCode).toBe(200);
  });

  test('Whoever has no credentials is limited by network, and never a buyer behind the same address', async () => {
    const from = '203.0.113.7';
    const card = `GET /v1/drops/${drop.id}`;
    expect((await spend(card, { from }, budgets.stranger)).json().code).toBe('rate_limited');
    const behind = await ask('GET /v1/wallet', { caller: engine.buyer('gus'), from });
    expect(behind.statusCode).toBe(200);
    const merchant = await ask('GET /v1/drops', { caller: store, from });
    expect(merchant.statusCode).toBe(200);
    expect((await ask(card, { from: '203.0.113.8' })).statusCode).toBe(200);
  });

  test('Refused credentials never keep a network from what is public, nor from what good credentials open', async () => {
    const from = '203.0.113.9';
    const keys = ['Bearer a.b.c', 'Bearer fdk_x', `Bearer ${newApiKey()}`, 'Bearer'];
    for (let n = 0; n < budgets.stranger; n += 1) {
      const authorization = keys[n % keys.length] ?? '';
      for (const address of ['GET /v1/wallet', 'GET /v1/drops']) {
        const refused = await ask(address, { caller: { authorization }, from });
        expect(refused.statusCode).toBe(401);
      }
    }
    const merchant = await engine.merchant();
    expect((await ask('GET /v1/drops', { caller: merchant, from })).statusCode).toBe(200);
    const buyer = engine.buyer('mia');
    expect((await ask('GET /v1/wallet', { caller: buyer, from })).statusCode).toBe(200);
    expect((await ask(`GET /v1/drops/${drop.id}`, { from })).statusCode).toBe(200);
  });

  test("Made-up drops take more of a network's budget than cards", async () => {
    const from = '2001:db8:1:2::1';
    const card = `GET /v1/drops/${drop.id}`;
    await ask('GET /v1/drops/drop_aaaaaaaaaaaa', { from });
    // Another address of the same network.
    const refused = await spend(card, { from: '2001:db8:1:2:ffff::9' }, 10);
    expect(refused.json().code).toBe('rate_limited');
    expect((await ask(card, { from: '2001:db8:1:3::1' })).statusCode).toBe(200);
  });

  test('A made-up store costs a network as much as a made-up drop', async () => {
    const from = '203.0.113.40';
    await ask('GET /v1/stores/mer_aaaaaaaaaaaa/drops', { from });
    const refused = await spend(`GET /v1/drops/${drop.id}`, { from }, 10);
    expect(refused.json().code).toBe('rate_limited');
  });

  test.for([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:0DB8:0001:0002:0003:0004:0005:0006', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['203.0.113.7:51044', '203.0.113.7'],
    ['[::ffff:203.0.113.7]:51044', '203.0.113.7'],
    ['[2001:db8:1:2::1]:443', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::1]', '2001:db8:1:2::/64'],
    ['unknown', 'unknown'],
  ] as const)('%s belongs to the network %s', ([address, network]) => {
    expect(networkOf(address)).toBe(network);
  });
});

describe('What a caller has one of, or few', () => {
  test('A buyer begins few payments for one drop, whatever the orders, methods and scenes', async () => {
    await engine.fund('hal');
    const hal = engine.buyer('hal');
    const bought = await ask(`POST /v1/drops/${drop.id}/orders`, {
      caller: hal,
      payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
    });
    const pay = (payload?: object) =>
      ask(`POST /v1/orders/${bought.json().id}/payment`, {
        caller: hal,
        ...(payload ? { payload } : {}),
      });
    for (let n = 0; n < budgets.payment; n += 1) {
      expect((await pay({ method: 'alipay' })).json().code).toBe('payment_method_not_offered');
    }
    const refused = await pay({ method: 'wechat_pay' });
    expect(refused.json()).toMatchObject({ code: 'rate_limited' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    // How it stands may still be asked: no provider is called for it.
    expect((await pay()).statusCode).toBe(200);
  });

  test('A merchant has one audit or export at a time, in whichever process it runs', async () => {
    const mine = await engine.merchant();
    const own = await engine.publish(mine.id);
    const end = await engine.deps.exclusive.begin(mine.id);
    const exports = ['orders', 'appointments'].map((what) => {
      return `GET /v1/drops/${own.id}/${what}?format=csv`;
    });
    for (const at of [engine, other]) {
      for (const address of exports) {
        const answer = await ask(address, { caller: mine, at });
        expect(answer.json(), address).toMatchObject({ code: 'already_running', status: 429 });
        expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1);
        // Else a browser saves the problem under the name of the file.
        expect(answer.headers['content-disposition'], address).toBeUndefined();
      }
    }
    const audit = await ask(`GET /v1/drops/${own.id}/audit`, { caller: mine });
    expect(audit.json().code).toBe('already_running');
    end?.();
    // Each is over once its answer is: the next one runs.
    for (const at of [other, engine]) {
      for (const address of exports) {
        await eventually(async () => {
          const answer = await ask(address, { caller: mine, at });
          return answer.statusCode === 200;
        });
      }
    }
  });

  test('A search for a text takes more of a budget than a list', async () => {
    const mine = await engine.merchant();
    const own = await engine.publish(mine.id);
    await roomInWindow();
    const list = `GET /v1/drops/${own.id}/orders`;
    for (let left = budgets.merchant; left >= 10; left -= 3) {
      expect((await ask(list, { caller: mine })).statusCode).toBe(200);
    }
    const search = await ask(`${list}?q=ann`, { caller: mine });
    expect(search.json().code).toBe('rate_limited');
    expect((await ask(list, { caller: mine })).statusCode).toBe(200);
  });

  test('A merchant has one search of orders at a time, in whichever process it runs, and lists and other merchants go on', async () => {
    const [mine, another] = [await engine.merchant(), await engine.merchant()];
    const [own, theirs] = [await engine.publish(mine.id), await engine.publish(another.id)];
    const end = await engine.deps.exclusive.begin(`search:${mine.id}`);
    const filters = ['q=ann', 'state=paid', 'sku=phone', 'method=wallet'];
    const searches = filters.map((query) =>
      ask(`GET /v1/drops/${own.id}/orders?${query}`, { caller: mine, at: other }),
    );
    for (const answer of await Promise.all(searches)) {
      expect(answer.json()).toMatchObject({ code: 'already_running', status: 429 });
    }
    const list = await ask(`GET /v1/drops/${own.id}/orders`, { caller: mine });
    expect(list.statusCode).toBe(200);
    const search = await ask(`GET /v1/drops/${theirs.id}/orders?q=ann`, { caller: another });
    expect(search.statusCode).toBe(200);
    end?.();
    for (const at of [engine, other]) {
      await eventually(async () => {
        const answer = await ask(`GET /v1/drops/${own.id}/orders?q=ann`, { caller: mine, at });
        return answer.statusCode === 200;
      });
    }
  });

  test('A buyer has ten live streams at most, and another buyer gets one all the same', async () => {
    const address = await engine.serve();
    const stopping = new AbortController();
    const follow = async (name: string, id: string) => {
      return await fetch(`${address}/v1/orders/${id}/stream`, {
        headers: engine.buyer(name),
        signal: stopping.signal,
      });
    };
    const buy = async (name: string) => {
      const answer = await ask(`POST /v1/drops/${drop.id}/orders`, {
        caller: engine.buyer(name),
        payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
      });
      return String(answer.json().id);
    };
    const [ida, jon] = [await buy('ida'), await buy('jon')];
    for (let n = 0; n < 10; n += 1) expect((await follow('ida', ida)).status).toBe(200);
    const refused = await follow('ida', ida);
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ code: 'streams_open' });
    expect((await follow('jon', jon)).status).toBe(200);
    stopping.abort();
    await eventually(async () => {
      const page = await engine.deps.metrics.text();
      return page.includes('flashdrop_streams_open 0\n');
    });
  });
});
