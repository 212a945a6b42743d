import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { cardBody, dropBody, dropsBody } from '../../../src/http/schemas/drops.ts';
import { orderBody, soldOrdersBody, walletBody } from '../../../src/http/schemas/orders.ts';
import { anItem } from '../../support/drops.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
let store: Awaited<ReturnType<TestEngine['merchant']>>;

beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), settings: { demo: true } });
  store = await engine.merchant('Noon store');
});
afterAll(() => engine?.stop());

type Ask = {
  as?: { authorization: string };
  payload?: object;
  headers?: Record<string, string>;
};

async function ask(method: 'GET' | 'POST', url: string, { as, payload, headers }: Ask = {}) {
  const authorization = as?.authorization;
  return await engine.app.inject({
    method,
    url,
    headers: { ...(authorization ? { authorization } : {}), ...headers },
    ...(payload ? { payload } : {}),
  });
}

const keyed = (key: string) => ({ headers: { 'idempotency-key': key } });

async function buy(drop: Drop, buyer: string, key = 'k') {
  return await ask('POST', `/v1/drops/${drop.id}/orders`, {
    as: engine.buyer(buyer),
    payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
    ...keyed(key),
  });
}

/** A fresh drop, and the order of a buyer who can pay. */
async function boughtBy(buyer: string, overrides: Partial<Drop> = {}) {
  const drop = await engine.publish(store.id, overrides);
  await engine.fund(buyer);
  const answer = await buy(drop, buyer);
  expect(answer.statusCode, answer.body).toBe(202);
  return { drop, id: answer.json().id as string };
}

async function stateOf(id: string, buyer: string): Promise<string> {
  return (await ask('GET', `/v1/orders/${id}`, { as: engine.buyer(buyer) })).json().state;
}

const untilPaid = (id: string, buyer: string) =>
  eventually(async () => (await stateOf(id, buyer)) === 'paid');

describe('A drop', () => {
  const draft = () => ({
    title: 'Noon',
    currency: 'CNY',
    startsAt: new Date(Date.now() - 1_000).toISOString(),
    endsAt: new Date(Date.now() + 3_600_000).toISOString(),
    items: [{ sku: 'phone', title: 'A phone', unitAmount: 100, allotment: 10, perBuyer: 1 }],
  });
  const create = async () => {
    const answer = await ask('POST', '/v1/drops', { as: store, payload: draft() });
    expect(answer.statusCode, answer.body).toBe(201);
    return dropBody.parse(answer.json());
  };
  const act = (id: string, action: string) =>
    ask('POST', `/v1/drops/${id}/${action}`, { as: store });

  test('can be created, published, paused, resumed and ended, and each request can be repeated', async () => {
    const { id } = await create();
    for (const [action, state] of [
      ['publish', 'open'],
      ['pause', 'paused'],
      ['resume', 'open'],
      ['end', 'ended'],
    ] as const) {
      for (let n = 0; n < 2; n += 1) {
        const answer = await act(id, action);
        expect(answer.statusCode, answer.body).toBe(200);
        expect(answer.json().state).toBe(state);
      }
    }
    const refused = await act(id, 'publish');
    expect(refused.statusCode).toBe(409);
    expect(refused.json()).toMatchObject({ code: 'drop_action_refused', state: 'ended' });
  });

  test('can be cancelled as a draft, and is listed with the others, newest first, page by page', async () => {
    const first = await create();
    const second = await create();
    expect((await act(first.id, 'cancel')).json().state).toBe('cancelled');
    const page = dropsBody.parse((await ask('GET', '/v1/drops?limit=1', { as: store })).json());
    expect(page.drops.map((drop) => drop.id)).toEqual([second.id]);
    const damaged = await ask('GET', '/v1/drops?cursor=not-ours', { as: store });
    expect(damaged.statusCode).toBe(400);
    const next = await ask('GET', `/v1/drops?limit=1&cursor=${page.next}`, { as: store });
    expect(next.json().drops.map((drop: Drop) => drop.id)).toEqual([first.id]);
  });

  test.for(['limit=0', 'limit=201', 'limit=x', 'limit=-1', 'color=red'])(
    'a list request with %s is 400 and names the parameter',
    async (query) => {
      const answer = await ask('GET', `/v1/drops?${query}`, { as: store });
      expect(answer.statusCode).toBe(400);
      expect(answer.json().errors[0].field).toBe(query.split('=')[0]);
    },
  );
});

describe('An order', () => {
  test('is paid from the wallet without further requests, and wallet and report show it', async () => {
    const { drop, id } = await boughtBy('payer');
    await untilPaid(id, 'payer');
    const order = await eventually(async () => {
      const answer = await ask('GET', `/v1/orders/${id}`, { as: engine.buyer('payer') });
      const body = orderBody.parse(answer.json());
      return body.paidAt !== undefined && body;
    });
    expect(order).toMatchObject({ state: 'paid', payment: { state: 'captured' } });

    const payment = await ask('POST', `/v1/orders/${id}/payment`, { as: engine.buyer('payer') });
    expect(payment.json()).toEqual({ order: id, method: 'wallet', state: 'captured' });

    const wallet = walletBody.parse(
      (await ask('GET', '/v1/wallet', { as: engine.buyer('payer') })).json(),
    );
    expect(wallet.balances).toEqual([{ currency: 'CNY', amount: 10_000_000 - 199_900 }]);
    expect(wallet.entries[0]).toMatchObject({ kind: 'capture', amount: -199_900 });

    const report = (await ask('GET', `/v1/drops/${drop.id}/report`, { as: store })).json();
    expect(report.items[0]).toMatchObject({ sku: 'phone', available: 9, sold: 1 });

    const audit = await eventually(async () => {
      const found = (await ask('GET', `/v1/drops/${drop.id}/audit`, { as: store })).json();
      return found.clean && found;
    });
    expect(audit.checks.length).toBeGreaterThan(0);
  });

  test('of a buyer without money is released with a reason the buyer can read', async () => {
    const drop = await engine.publish(store.id);
    const id = (await buy(drop, 'poor')).json().id;
    await eventually(async () => (await stateOf(id, 'poor')) === 'released');
    const order = (await ask('GET', `/v1/orders/${id}`, { as: engine.buyer('poor') })).json();
    expect(order).toMatchObject({ reason: 'insufficient_funds' });
    expect(order.reasonText).toMatch(/wallet/);
  });

  test('whose failed refund the buyer was paid in another way shows it as done, also to a repeated key', async () => {
    const { id } = await boughtBy('paid-otherwise');
    await untilPaid(id, 'paid-otherwise');
    const part = { as: store, payload: { amount: 7 }, ...keyed('part') };
    const refund = () => ask('POST', `/v1/orders/${id}/refund`, part);
    const { refund: made } = (await refund()).json();
    const write = (change: string) =>
      engine.ledger.database.query(`update refunds set ${change} where reference = $1`, [made.id]);
    await write("state = 'failed', done_at = null");
    await write('dealt_with_at = 1');
    const again = await refund();
    expect([again.statusCode, again.json().refund]).toEqual([200, { ...made, state: 'done' }]);
  });

  test('that is paid cannot be cancelled, but can be refunded, once', async () => {
    const { id } = await boughtBy('refunded');
    await untilPaid(id, 'refunded');
    const cancel = await ask('POST', `/v1/orders/${id}/cancel`, { as: engine.buyer('refunded') });
    expect(cancel.statusCode).toBe(409);
    expect(cancel.json().code).toBe('order_paid');
    for (let n = 0; n < 2; n += 1) {
      const refund = await ask('POST', `/v1/orders/${id}/refund`, { as: store });
      expect(refund.statusCode, refund.body).toBe(200);
      expect(refund.json().state).toBe('refunded');
    }
    const wallet = (await ask('GET', '/v1/wallet', { as: engine.buyer('refunded') })).json();
    expect(wallet.balances).toEqual([{ currency: 'CNY', amount: 10_000_000 }]);
    expect(wallet.entries.map((entry: { kind: string }) => entry.kind)).toEqual([
      'refund',
      'capture',
      'topup',
    ]);
  });

  test('that does not exist is 404 for everybody, whatever the id looks like', async () => {
    for (const id of [
      'ord_aaaaaaaaaaaa_0_AAAAAAAAAAAAAAAAAAAAAA',
      'ord_aaaaaaaaaaaa_64_AAAAAAAAAAAAAAAAAAAAAA',
      'nonsense',
      '%00',
      '..%2f..%2fetc',
    ]) {
      const answer = await ask('GET', `/v1/orders/${id}`, { as: engine.buyer('ann') });
      expect(answer.statusCode, answer.body).toBe(404);
      expect(answer.json().code).toBe('unknown_order');
    }
  });
});

describe('The stock of an item', () => {
  const adjust = (drop: Drop, delta: number, key: string, sku = 'phone') =>
    ask('POST', `/v1/drops/${drop.id}/items/${sku}/adjustments`, {
      as: store,
      payload: { delta, reason: 'counted again' },
      ...keyed(key),
    });

  test('changes once for each key, and never below the units that are held or sold', async () => {
    const drop = await engine.publish(store.id, { items: [anItem({ allotment: 3 })] });
    for (let n = 0; n < 2; n += 1) {
      expect((await adjust(drop, 2, 'more')).json()).toEqual({
        sku: 'phone',
        available: 5,
        held: 0,
        sold: 0,
        allotment: 5,
      });
    }
    expect((await adjust(drop, 1, 'more')).json().code).toBe('idempotency_key_reused');
    const below = await adjust(drop, -6, 'less');
    expect(below.statusCode).toBe(409);
    expect(below.json()).toMatchObject({ code: 'stock_taken', available: 5 });
    expect((await adjust(drop, 10_000_000, 'much')).json()).toMatchObject({
      status: 409,
      code: 'allotment_over',
      allotment: 5,
    });
    expect((await adjust(drop, 1, 'other', 'tablet')).json().code).toBe('unknown_item');
  });

  test.for([
    [{ delta: 0, reason: 'x' }, 'delta'],
    [{ delta: 1.5, reason: 'x' }, 'delta'],
    [{ delta: 1 }, 'reason'],
    [{ delta: 1, reason: 'a\nb' }, 'reason'],
  ] as const)('is not changed by %j', async ([payload, field]) => {
    const drop = await engine.publish(store.id);
    const answer = await ask('POST', `/v1/drops/${drop.id}/items/phone/adjustments`, {
      as: store,
      payload,
      ...keyed('k'),
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().errors[0].field).toBe(field);
  });

  test('cannot change after the drop has ended', async () => {
    const drop = await engine.publish(store.id);
    await ask('POST', `/v1/drops/${drop.id}/end`, { as: store });
    expect((await adjust(drop, 1, 'late')).json()).toMatchObject({ status: 410 });
  });
});

describe("A merchant's orders", () => {
  test('are listed page by page, and exported as CSV without formulas', async () => {
    const drop = await engine.publish(store.id);
    const buyers = ['=cmd()', '+1', '-1', '@a', 'quo"te', 'com,ma'];
    for (const buyer of buyers) {
      await engine.fund(buyer);
      expect((await buy(drop, buyer)).statusCode).toBe(202);
    }
    const page = await eventually(async () => {
      const answer = await ask('GET', `/v1/drops/${drop.id}/orders`, { as: store });
      const body = soldOrdersBody.parse(answer.json());
      return body.orders.length === buyers.length && body;
    });
    expect(page.orders.map((order) => order.buyer).sort()).toEqual([...buyers].sort());

    const seen: string[] = [];
    let next: string | undefined = '';
    while (next !== undefined) {
      const url: string = `/v1/drops/${drop.id}/orders?limit=4${next && `&cursor=${next}`}`;
      const body = soldOrdersBody.parse((await ask('GET', url, { as: store })).json());
      seen.push(...body.orders.map((order) => order.id));
      next = body.next;
    }
    expect(seen).toEqual(page.orders.map((order) => order.id));

    const csv = await ask('GET', `/v1/drops/${drop.id}/orders?format=csv`, { as: store });
    expect(csv.headers['content-type']).toMatch(/^text\/csv/);
    expect(csv.headers['content-disposition']).toBe(`attachment; filename="${drop.id}.csv"`);
    const lines = csv.body.split('\r\n');
    expect(lines[0]).toMatch(/^order,state,reason,buyer,sku,quantity,amount,currency,/);
    expect(lines).toHaveLength(buyers.length + 2);
    for (const shown of ["'=cmd()", "'+1", "'-1", "'@a", '"quo""te"', '"com,ma"']) {
      expect(csv.body).toContain(`,${shown},`);
    }
  });
});

describe("A merchant's books", () => {
  test('Partial refunds and the references of payments are in the list and the export, and the sums are right', async () => {
    const drop = await engine.publish(store.id);
    const path = `/v1/drops/${drop.id}/orders`;
    const ids: string[] = [];
    for (const buyer of ['parted', 'whole']) {
      await engine.fund(buyer);
      ids.push((await buy(drop, buyer)).json().id);
    }
    await eventually(async () => {
      const { orders } = soldOrdersBody.parse((await ask('GET', path, { as: store })).json());
      return orders.length === 2 && orders.every(({ state }) => state === 'paid');
    });
    const refund = (id: string | undefined, payload: object, key: string) =>
      ask('POST', `/v1/orders/${id}/refund`, { as: store, payload, ...keyed(key) });
    expect((await refund(ids[0], { amount: 700 }, 'a')).statusCode).toBe(200);
    expect((await refund(ids[0], { amount: 300 }, 'b')).statusCode).toBe(200);
    expect((await refund(ids[1], { restock: false }, 'c')).statusCode).toBe(200);
    const { orders } = soldOrdersBody.parse((await ask('GET', path, { as: store })).json());
    const listed = new Map(orders.map((order) => [order.id as string, order]));
    expect(listed.get(ids[0] ?? '')).toMatchObject({
      amountRefunded: 1_000,
      payment: { provider: 'wallet', state: 'captured', reference: `pay_${ids[0]}_1` },
    });
    const csv = (await ask('GET', `${path}?format=csv`, { as: store })).body.trim().split('\r\n');
    const columns = csv[0]?.split(',') ?? [];
    const rows = csv.slice(1).map((line) => {
      const cells = line.split(',');
      return Object.fromEntries(columns.map((column, n) => [column, cells[n]]));
    });
    const sum = (name: string) => rows.reduce((all, row) => all + Number(row[name]), 0);
    expect(sum('amount') - sum('amountRefunded')).toBe(199_900 - 1_000);
    expect(rows.map((row) => row['paymentReference']).sort()).toEqual(
      ids.map((id) => `pay_${id}_1`).sort(),
    );
    const report = (await ask('GET', `/v1/drops/${drop.id}/audit`, { as: store })).json();
    const broken = report.checks.filter(({ ok }: { ok: boolean }) => !ok);
    expect(broken).toEqual([]);
    const figures = (await ask('GET', `/v1/drops/${drop.id}/report`, { as: store })).json();
    expect(figures.items[0]).toMatchObject({
      sold: 1,
      allotment: (drop.items[0]?.allotment ?? 0) - 1,
    });
  });
});

describe('The public card of a drop', () => {
  test('has coarse figures, is cacheable, and is answered with 304 when it has not changed', async () => {
    const drop = await engine.publish(store.id);
    const answer = await ask('GET', `/v1/drops/${drop.id}`);
    expect(answer.statusCode).toBe(200);
    const card = cardBody.parse(answer.json());
    expect(card).toMatchObject({
      state: 'open',
      availability: 'available',
      popularity: { unitsTaken: 0 },
      store: { name: 'Noon store', creditRating: null },
      items: [{ sku: 'phone', unitAmount: 199_900, availability: 'available' }],
    });
    expect(answer.body).not.toContain('allotment');
    expect(Math.abs(Date.parse(card.serverTime) - Date.now())).toBeLessThan(5_000);
    expect(answer.headers['cache-control']).toBe('public, max-age=1');
    const etag = answer.headers.etag as string;
    for (const match of [etag, `"x", ${etag}`, '*', etag.slice(2)]) {
      const again = await ask('GET', `/v1/drops/${drop.id}`, {
        headers: { 'if-none-match': match },
      });
      expect(again.statusCode).toBe(304);
      expect(again.body).toBe('');
    }
    const other = await ask('GET', `/v1/drops/${drop.id}`, { headers: { 'if-none-match': '"x"' } });
    expect(other.statusCode).toBe(200);
  });

  test('follows the stock: few, all held, sold out, and available again', async () => {
    const drop = await engine.publish(store.id, { items: [anItem({ allotment: 1 })] });
    const seen = async () => (await ask('GET', `/v1/drops/${drop.id}`)).json().availability;
    expect(await seen()).toBe('available');
    await engine.fund('card-buyer');
    const id = (await buy(drop, 'card-buyer')).json().id;
    await eventually(async () => (await seen()) === 'sold_out');
    await untilPaid(id, 'card-buyer');
    await ask('POST', `/v1/orders/${id}/refund`, { as: store });
    await eventually(async () => (await seen()) === 'available');
  });
});

describe('The wallet', () => {
  const topUp = (amount: number, key: string, currency = 'CNY') =>
    ask('POST', '/v1/wallet/topups', {
      as: engine.buyer('saver'),
      payload: { amount, currency },
      ...keyed(key),
    });

  test('exists for every buyer, is empty at first, and is topped up once for each key', async () => {
    const empty = await ask('GET', '/v1/wallet', { as: engine.buyer('saver') });
    expect(empty.json()).toEqual({
      password: { set: false },
      balances: [],
      entries: [],
    });
    for (let n = 0; n < 2; n += 1) {
      const answer = await topUp(500, 'a');
      expect(answer.statusCode, answer.body).toBe(201);
      expect(answer.json()).toEqual({ currency: 'CNY', amount: 500 });
    }
    expect((await topUp(600, 'a')).json().code).toBe('idempotency_key_reused');
    await topUp(7, 'b');
    const url = '/v1/wallet?limit=1';
    const first = (await ask('GET', url, { as: engine.buyer('saver') })).json();
    expect(first.entries).toMatchObject([{ amount: 7, balance: 507 }]);
    const rest = await ask('GET', `${url}&cursor=${first.next}`, { as: engine.buyer('saver') });
    expect(rest.json().entries).toMatchObject([{ amount: 500, balance: 500 }]);
    expect(rest.json().next).toBeUndefined();
  });

  test.for([
    [0, 'CNY', 'amount'],
    [1_000_000_001, 'CNY', 'amount'],
    [1, 'XQX', 'currency'],
  ] as const)('refuses a top-up of %i %s', async ([amount, currency, field]) => {
    const answer = await topUp(amount, 'c', currency);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().errors[0].field).toBe(field);
  });
});

test('Outside demo mode, nobody can mint tokens or add free money', async () => {
  const strict = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    ledger: engine.ledger,
    settling: false,
  });
  try {
    const mint = await strict.app.inject({ method: 'POST', url: '/demo/tokens', payload: {} });
    expect(mint.statusCode).toBe(404);
    const topUp = await strict.app.inject({
      method: 'POST',
      url: '/v1/wallet/topups',
      headers: { ...strict.buyer('ann'), 'idempotency-key': 'k' },
      payload: { amount: 1, currency: 'CNY' },
    });
    expect(topUp.statusCode).toBe(403);
    expect(topUp.json().code).toBe('topups_closed');
  } finally {
    await strict.stop();
  }
});

test.for(['\u0000', 'scratched\nand dented', '\u009b'])(
  'A refund reason that contains %j is refused and never reaches a provider',
  async (reason) => {
    const drop = await engine.publish(store.id, { items: [anItem({ allotment: 1 })] });
    await engine.fund('reasoned');
    const id = (await buy(drop, 'reasoned')).json().id;
    await untilPaid(id, 'reasoned');
    const answer = await ask('POST', `/v1/orders/${id}/refund`, {
      as: store,
      payload: { amount: 1, reason },
      ...keyed('k'),
    });
    expect(answer.statusCode, answer.body).toBe(400);
    expect(answer.json().errors[0].field).toBe('reason');
  },
);

test.for(['%00', 'top_%00', 'x'])(
  'A top-up id that cannot exist, %s, is answered unknown_topup',
  async (id) => {
    const answer = await ask('GET', `/v1/wallet/topups/${id}`, { as: engine.buyer('ann') });
    expect(answer.statusCode, answer.body).toBe(404);
    expect(answer.json().code).toBe('unknown_topup');
  },
);

describe('An address', () => {
  test('that does not exist is 404, and a wrong method is 405 with the allowed methods', async () => {
    expect((await ask('GET', '/nowhere')).json()).toMatchObject({ status: 404, code: 'not_found' });
    const wrong = await ask('GET', '/v1/orders/ord_x/cancel');
    expect(wrong.statusCode).toBe(405);
    expect(wrong.headers.allow).toBe('POST');
    const post = await ask('POST', '/v1/wallet', { payload: {} });
    expect(post.statusCode).toBe(405);
    expect(post.headers.allow).toBe('GET, HEAD');
  });

  test('that cannot be decoded is 400 and is not repeated in the answer', async () => {
    const answer = await ask('GET', '/v1/drops/%zz<script>');
    expect(answer.statusCode).toBe(400);
    expect(answer.json().errors).toEqual([{ field: 'path', reason: 'is not a valid address' }]);
    expect(answer.body).not.toContain('script');
  });

  test('of operations answers without credentials, and tells no figure', async () => {
    expect((await ask('GET', '/livez')).statusCode).toBe(200);
    expect((await ask('GET', '/readyz')).json()).toEqual({ ready: true });
    expect((await ask('GET', '/docs/errors')).body).toContain('id="sold_out"');
    expect((await ask('GET', '/docs')).statusCode).toBeLessThan(400);
    expect((await ask('GET', '/openapi.json')).json().openapi).toBe('3.1.0');
  });
});
