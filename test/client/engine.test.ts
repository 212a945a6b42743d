import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FlashdropError, flashdrop, type Order, type Problem } from '../../client/src/index.ts';
import type { Drop } from '../../src/domain/drop.ts';
import { openSigner } from '../../src/http/auth/buyers.ts';
import { anItem } from '../support/drops.ts';
import { startTestEngine, type TestEngine, testTokens } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { startProxy, type TcpProxy } from '../support/proxy.ts';
import { sharedRedisUrl } from '../support/redis.ts';
import { memory } from './stub.ts';

const execute = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');
const sign = openSigner(testTokens);
const wish = { sku: 'phone', method: 'wallet' } as const;
const password = '280193';

let engine: TestEngine;
let address: string;
let proxy: TcpProxy;
let proxied: string;

beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl() });
  address = await engine.serve();
  const { hostname, port } = new URL(address);
  proxy = await startProxy({ host: hostname, port: Number(port) });
  proxied = `http://${proxy.host}:${proxy.port}`;
});
afterAll(async () => {
  await proxy?.close();
  await engine?.stop();
});

async function publish(overrides: Partial<Drop> = {}, item: Parameters<typeof anItem>[0] = {}) {
  const { id } = await engine.merchant();
  const items = [anItem({ perBuyer: 5, ...item })];
  return (await engine.publish(id, { items, ...overrides })).id;
}

let buyers = 0;

/** A client of a buyer of its own, with money in the wallet. */
async function aBuyer(at = address, options: Parameters<typeof flashdrop>[1] = {}) {
  buyers += 1;
  const name = `buyer-${buyers}`;
  await engine.fund(name);
  const token = () => sign(name);
  return { name, token, shop: flashdrop(at, { token, ...options }) };
}

async function statesOf(watched: AsyncIterable<Order>): Promise<string[]> {
  const states: string[] = [];
  for await (const { state } of watched) states.push(state);
  return states;
}

/** The orders of a buyer, once there are any. */
function ordersOf(shop: ReturnType<typeof flashdrop>): Promise<Order[]> {
  return eventually(async () => {
    const { orders } = await shop.orders.list();
    return orders.length > 0 && orders;
  });
}

async function problemOf(promise: Promise<unknown>): Promise<Problem> {
  const error = await promise.catch((thrown: unknown) => thrown);
  if (!(error instanceof FlashdropError)) throw new Error('no FlashdropError', { cause: error });
  return error.problem;
}

describe('The client and an engine', () => {
  test('A Buy is reserved, and its watch ends with the paid order', async () => {
    const { shop } = await aBuyer();
    const drop = await publish();
    const order = await shop.buy(drop, { ...wish, quantity: 2 });
    expect(order).toMatchObject({ drop, state: 'reserved', sku: 'phone', quantity: 2 });
    expect((await statesOf(shop.orders.watch(order.id))).at(-1)).toBe('paid');
    expect(await shop.orders.get(order.id)).toMatchObject({
      state: 'paid',
      payment: { provider: 'wallet', state: 'captured' },
    });
  });

  test('A Buy whose answer was lost on the way is one order, and the buyer has its id', async () => {
    const { shop } = await aBuyer(proxied);
    const drop = await publish();
    const cuts = proxy.cuts();
    proxy.cutBeforeReply(1);
    const order = await shop.buy(drop, wish);
    expect(proxy.cuts()).toBe(cuts + 1);
    expect((await ordersOf(shop)).map(({ id }) => id)).toEqual([order.id]);
  });

  test('A Buy whose page was left before its answer is the same order after the reload', async () => {
    const { storage } = memory();
    const leaving = new AbortController();
    let made: Order | undefined;
    const { shop, token } = await aBuyer(address, {
      storage,
      async fetch(...request) {
        made = JSON.parse(await (await fetch(...request)).text());
        leaving.abort(new Error('the page was left'));
        throw leaving.signal.reason;
      },
    });
    const drop = await publish();
    const { signal } = leaving;
    await expect(shop.buy(drop, wish, { signal })).rejects.toThrow('the page was left');

    const reloaded = flashdrop(address, { token, storage });
    const order = await reloaded.buy(drop, wish);
    expect(order.id).toBe(made?.id);
    expect((await statesOf(reloaded.orders.watch(order.id))).at(-1)).toBe('paid');
    expect((await ordersOf(reloaded)).map(({ id }) => id)).toEqual([order.id]);
  });

  test('An order that still waits for its payment is given back after a reload, and can be paid or cancelled', async () => {
    const { storage } = memory();
    const { shop, token } = await aBuyer(address, { storage });
    const drop = await publish({ passwordAbove: 0 });
    const order = await shop.buy(drop, wish);
    const reloaded = flashdrop(address, { token, storage });
    expect(await reloaded.buy(drop, wish)).toMatchObject({ id: order.id, state: 'reserved' });
    expect(await reloaded.orders.cancel(order.id)).toMatchObject({ state: 'released' });
  });

  test('Presses in two tabs at once are one order', async () => {
    const { storage } = memory();
    const { shop, token } = await aBuyer(address, { storage });
    const tabs = [shop, flashdrop(address, { token, storage })];
    const drop = await publish();
    const orders = await Promise.all([...tabs, ...tabs].map((tab) => tab.buy(drop, wish)));
    expect(new Set(orders.map(({ id }) => id)).size).toBe(1);
  });

  test('A watch outlives cut connections and ends when the order is paid', async () => {
    const { name, token, shop } = await aBuyer();
    await engine.app.inject({
      method: 'PUT',
      url: '/v1/wallet/password',
      headers: engine.buyer(name),
      payload: { password },
    });
    const drop = await publish({ passwordAbove: 0 });
    const order = await shop.buy(drop, wish);
    const states: string[] = [];
    for await (const { state } of flashdrop(proxied, { token }).orders.watch(order.id)) {
      states.push(state);
      if (states.length > 1) continue;
      proxy.set('reset');
      const payment = await shop.orders.pay(order.id, { method: 'wallet', password });
      expect(payment).toMatchObject({ order: order.id, method: 'wallet' });
      proxy.set('pass');
    }
    expect(states.at(-1)).toBe('paid');
  });

  test('An old client passes on a code that it does not know, with its title', async () => {
    const { shop } = await aBuyer(address, {
      async fetch(...request) {
        const response = await fetch(...request);
        const text = (await response.text()).replaceAll('unknown_item', 'item_of_another_age');
        return new Response(text, response);
      },
    });
    const problem = await problemOf(shop.buy(await publish(), { ...wish, sku: 'none' }));
    expect(problem).toMatchObject({
      code: 'item_of_another_age',
      status: 404,
      title: 'The drop has no such item',
    });
  });

  test('Refusals have the members that their types promise', async () => {
    const { shop } = await aBuyer();
    // Two units: with none left, the process may answer all_held before the lane looks at the limit.
    const one = await publish({}, { perBuyer: 1, allotment: 2 });
    const order = await shop.buy(one, wish);
    const again = shop.buy(one, { ...wish, metadata: { press: 'another' } });
    expect(await problemOf(again)).toMatchObject({
      code: 'buyer_limit',
      limit: 1,
      scope: 'item',
      order: order.id,
    });
    await statesOf(shop.orders.watch(order.id));
    const [other, last] = [await aBuyer(), await aBuyer()];
    await statesOf(other.shop.orders.watch((await other.shop.buy(one, wish)).id));
    expect(await problemOf(last.shop.buy(one, wish))).toMatchObject({
      code: 'sold_out',
      available: 0,
    });

    const soon = Date.now() + 3_600_000;
    const early = await publish({ startsAt: soon, endsAt: soon + 1_000 });
    expect(await problemOf(shop.buy(early, wish))).toMatchObject({
      code: 'drop_not_open',
      startsAt: new Date(soon).toISOString(),
      retryAfterMs: expect.any(Number),
    });
    expect(await problemOf(shop.buy(early, { ...wish, quantity: 0 }))).toMatchObject({
      code: 'invalid_request',
      errors: [{ field: 'quantity', reason: expect.any(String) }],
    });
    expect(await problemOf(flashdrop(address).buy(early, wish))).toMatchObject({
      code: 'unauthorized',
      reason: 'missing',
    });
    expect(await problemOf(other.shop.orders.get(order.id))).toMatchObject({
      code: 'unknown_order',
    });
  });

  test('A token that has expired is replaced by a new one, and the Buy goes on', async () => {
    const { name } = await aBuyer();
    const wanted: boolean[] = [];
    const shop = flashdrop(address, {
      async token({ expired }) {
        wanted.push(expired);
        return expired || wanted.includes(true) ? sign(name) : sign(name, -3_600_000);
      },
    });
    expect(await shop.buy(await publish(), wish)).toMatchObject({ state: 'reserved' });
    expect(wanted.filter((expired) => expired)).toHaveLength(1);
  });

  test('A watched drop tells when it is over, and now() is the time of the engine', async () => {
    const { shop } = await aBuyer();
    const { id: merchantId } = await engine.merchant();
    const drop = await engine.publish(merchantId, { items: [anItem()] });
    const states: string[] = [];
    for await (const { state } of shop.drops.watch(drop.id)) {
      states.push(state);
      if (state !== 'open') continue;
      await engine.services.publishing.act({ merchantId, drop: drop.id, action: 'end' });
    }
    expect(states).toEqual(['open', 'ended']);
    const { serverTime } = await shop.drops.get(drop.id);
    expect(shop.now()).toBeGreaterThanOrEqual(Date.parse(serverTime));
  });
});

describe('The package of the client', () => {
  let folder: string;
  let packed: { files: { path: string }[]; filename: string };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'flashdrop test client '));
    const { stdout } = await execute('npm', ['pack', '--json', '--pack-destination', folder], {
      cwd: join(root, 'client'),
    });
    [packed] = JSON.parse(stdout.slice(stdout.indexOf('[')));
    const installed = join(folder, 'node_modules/flashdrop-client');
    mkdirSync(installed, { recursive: true });
    await execute('tar', ['-xzf', packed.filename, '-C', installed, '--strip-components=1'], {
      cwd: folder,
    });
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  });
  afterAll(() => folder && rmSync(folder, { recursive: true, force: true }));

  test('holds the built modules with their types, the README and the licence, and nothing else', () => {
    const modules = ['events', 'index', 'keys', 'problem', 'time', 'transport', 'watch'];
    const built = modules.flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.js`]);
    expect(packed.files.map(({ path }) => path).sort()).toEqual(
      ['LICENSE', 'README.md', 'dist/api.d.ts', 'package.json', ...built].sort(),
    );
  });

  test('gives its types to a page that is built with another compiler setting', async () => {
    writeFileSync(
      join(folder, 'page.ts'),
      `import { flashdrop, type Problem } from 'flashdrop-client';
const shop = flashdrop('https://drops.example', { storage: localStorage });
export const state: Promise<'reserved' | 'paid' | 'released' | 'refunded'> = shop.orders.get('x').then((order) => order.state);
export function limitOf(problem: Problem): number | undefined {
  // @ts-expect-error only a problem of some codes has it
  problem.limit;
  switch (problem.code) {
    case 'buyer_limit': return problem.limit;
    default: return undefined;
  }
}
`,
    );
    const options =
      '--noEmit --strict --target es2022 --lib es2022,dom --module esnext --moduleResolution bundler';
    const tsc = join(root, 'node_modules/.bin/tsc');
    const compiled = execute(tsc, [...options.split(' '), '--types', '', 'page.ts'], {
      cwd: folder,
    });
    await expect(compiled.catch(({ stdout }) => stdout)).resolves.toMatchObject({ stdout: '' });
  });

  test('runs the Buy of its README as it is printed, in twelve lines', async () => {
    const readme = readFileSync(join(root, 'client/README.md'), 'utf8');
    const [, example = ''] = /```js\n(.*?)```/s.exec(readme) ?? [];
    expect(example.trim().split('\n').length).toBeLessThanOrEqual(12);
    writeFileSync(join(folder, 'buy.js'), example);
    writeFileSync(
      join(folder, 'page.js'),
      `import { buy } from './buy.js';
const [address, token, drop, sku] = process.argv.slice(2);
await buy({ address, token: () => token, drop, sku, show: console.log });
`,
    );
    const drop = await publish({}, { perBuyer: 1, allotment: 1 });
    const run = async (buyer: string) => {
      const of = [address, sign(buyer), drop, 'phone'];
      const { stdout } = await execute(process.execPath, ['page.js', ...of], { cwd: folder });
      return stdout.trim().split('\n');
    };
    const { name } = await aBuyer();
    expect((await run(name)).at(-1)).toBe('paid');
    expect(await run((await aBuyer()).name)).toEqual(['Sold out']);
  });
});
