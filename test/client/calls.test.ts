import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FlashdropError, flashdrop } from '../../client/src/index.ts';
import { anOrder, json, lost, refusal, run, stubFetch } from './stub.ts';

beforeEach(() => void vi.useFakeTimers({ now: Date.parse('2026-11-27T12:00:00Z') }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const address = 'http://engine.test';

test('An expired token is replaced once, and the call goes on', async () => {
  const stub = stubFetch(
    refusal('unauthorized', 401, { reason: 'expired' }),
    json(anOrder('paid')),
  );
  const wanted: boolean[] = [];
  const token = async ({ expired }: { expired: boolean }) => {
    wanted.push(expired);
    return expired ? 'new' : 'old';
  };
  const shop = flashdrop(address, { fetch: stub.fetch, token });
  expect(await run(shop.orders.get('order_1'))).toMatchObject({ state: 'paid' });
  expect(wanted).toEqual([false, true]);
  expect(stub.sent.map(({ headers }) => headers.get('authorization'))).toEqual([
    'Bearer old',
    'Bearer new',
  ]);
});

test('A token that is expired again, or is wrong, is refused and not asked for for ever', async () => {
  for (const [reason, requests] of [
    ['expired', 2],
    ['invalid', 1],
  ] as const) {
    const stub = stubFetch(refusal('unauthorized', 401, { reason }));
    const shop = flashdrop(address, { fetch: stub.fetch, token: () => 'old' });
    await expect(run(shop.orders.get('order_1'))).rejects.toMatchObject({
      problem: { code: 'unauthorized', reason },
    });
    expect(stub.sent).toHaveLength(requests);
  }
});

test("An error of the token provider is the caller's own, and nothing is sent", async () => {
  const stub = stubFetch(json({}));
  const token = () => Promise.reject(new Error('signed out'));
  const shop = flashdrop(address, { fetch: stub.fetch, token });
  await expect(run(shop.orders.get('order_1'))).rejects.toThrow('signed out');
  expect(stub.sent).toHaveLength(0);
});

test('A token that does not come in time is a problem like no answer, and nothing is sent', async () => {
  const stub = stubFetch(json(anOrder('paid')));
  const token = () => new Promise<string>(() => {});
  const shop = flashdrop(address, { fetch: stub.fetch, token, deadlineMs: 2_000 });
  const wish = { sku: 'phone', method: 'wallet' } as const;
  for (const call of [shop.orders.get('order_1'), shop.buy('drop_1', wish)]) {
    await expect(run(call)).rejects.toMatchObject({ problem: { code: 'no_answer' } });
  }
  expect(stub.sent).toEqual([]);
});

test('Only cards pass by the cache, and no request follows a redirect', async () => {
  const stub = stubFetch(() => json({ serverTime: '2026-11-27T12:00:00Z', orders: [] }));
  const shop = flashdrop(address, { fetch: stub.fetch });
  await run(shop.drops.get('drop_1'));
  await run(shop.orders.list());
  expect(stub.sent.map(({ cache }) => cache)).toEqual(['no-store', undefined]);
  expect(stub.sent.map(({ redirect }) => redirect)).toEqual(['error', 'error']);
});

test('An abort ends the wait for a token, with its reason', async () => {
  const stub = stubFetch(lost);
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error('left')), 100);
  const shop = flashdrop(address, { fetch: stub.fetch, token: () => new Promise(() => {}) });
  const { signal } = controller;
  const calls = [
    shop.orders.get('order_1', { signal }),
    shop.buy('drop_1', { sku: 'phone', method: 'wallet' }, { signal }),
  ];
  const ends = await run(Promise.allSettled(calls));
  expect(ends.map((end) => end.status === 'rejected' && String(end.reason))).toEqual(
    Array(2).fill('Error: left'),
  );
  expect(stub.sent).toHaveLength(0);
});

test('An abort ends a request on its way and a wait between two, with its reason', async () => {
  for (const reply of ['never', lost] as const) {
    vi.spyOn(Math, 'random').mockReturnValue(0.9);
    const stub = stubFetch(reply);
    const controller = new AbortController();
    const { signal } = controller;
    setTimeout(() => controller.abort(new Error('left')), 100);
    const reading = flashdrop(address, { fetch: stub.fetch }).orders.get('order_1', { signal });
    await expect(run(reading)).rejects.toThrow('left');
    expect(stub.sent).toHaveLength(1);
    await expect(
      run(flashdrop(address, { fetch: stub.fetch }).orders.get('order_1', { signal })),
    ).rejects.toThrow('left');
  }
});

test('A payment with a password is not sent twice when its answer is lost: it would cost two tries', async () => {
  const stub = stubFetch(lost);
  const shop = flashdrop(address, { fetch: stub.fetch });
  const paying = run(shop.orders.pay('order_1', { method: 'wallet', password: '123456' }));
  await expect(paying).rejects.toBeInstanceOf(FlashdropError);
  expect(stub.sent).toHaveLength(1);
});

test('A payment without a password, and a cancel, are continued after a lost answer', async () => {
  const stub = stubFetch(lost, json({ order: 'order_1', method: 'alipay', state: 'started' }));
  const shop = flashdrop(address, { fetch: stub.fetch });
  const payment = await run(shop.orders.pay('order_1', { method: 'alipay' }));
  expect(payment).toMatchObject({ state: 'started' });
  const again = stubFetch(lost, json(anOrder('released')));
  const order = await run(flashdrop(address, { fetch: again.fetch }).orders.cancel('order_1'));
  expect(order).toMatchObject({ state: 'released' });
  expect(again.sent.map(({ path }) => path)).toEqual(Array(2).fill('/v1/orders/order_1/cancel'));
});

test("now() is the engine's time whatever the device's clock says, also when that is set anew", async () => {
  const engineAt = (ms: number) =>
    json({ state: 'scheduled', serverTime: new Date(ms).toISOString() });
  const start = Date.parse('2026-11-27T12:10:00Z');
  let sinceMs = 0;
  const fetch = async () => {
    // 100 ms there, 100 ms back.
    await new Promise((done) => setTimeout(done, 100));
    const card = engineAt(start + sinceMs);
    await new Promise((done) => setTimeout(done, 100));
    return card;
  };
  const shop = flashdrop(address, { fetch });
  expect(shop.now()).toBe(Date.parse('2026-11-27T12:00:00Z'));
  await run(shop.drops.get('drop_1'));
  expect(shop.now()).toBe(start + 100);
  vi.setSystemTime(0);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(shop.now()).toBe(start + 5_100);
  // The device slept for a minute, and its clock stood still.
  sinceMs = 65_300;
  await run(shop.drops.get('drop_1'));
  expect(Math.abs(shop.now() - (start + 65_400))).toBeLessThanOrEqual(100);
});

test('Ids are kept in their place of the path', async () => {
  const stub = stubFetch(json(anOrder('paid')));
  await run(flashdrop(`${address}/shop/`, { fetch: stub.fetch }).orders.get('../drops?x'));
  expect(stub.sent[0]?.path).toBe('/shop/v1/orders/..%2Fdrops%3Fx');
});
