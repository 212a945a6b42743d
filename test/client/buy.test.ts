import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest';
import { FlashdropError, flashdrop, type NewerCode, type Problem } from '../../client/src/index.ts';
import {
  accepted,
  anOrder,
  bought,
  json,
  lost,
  memory,
  refusal,
  replayed,
  run,
  stubFetch,
} from './stub.ts';

beforeEach(() => void vi.useFakeTimers({ now: Date.parse('2026-11-27T12:00:00Z') }));
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const wish = { sku: 'phone', method: 'wallet' } as const;

function clientOf(
  stub: ReturnType<typeof stubFetch>,
  options: Parameters<typeof flashdrop>[1] = {},
) {
  return flashdrop('http://engine.test/', {
    fetch: stub.fetch,
    token: () => 'a.token',
    ...options,
  });
}

async function problemOf(promise: Promise<unknown>): Promise<Problem> {
  const error = await run(promise).catch((thrown: unknown) => thrown);
  if (!(error instanceof FlashdropError)) throw new Error('no FlashdropError', { cause: error });
  return error.problem;
}

/** How long each answer was waited for after the one before, in fake milliseconds. */
function waitsOf(stub: ReturnType<typeof stubFetch>): number[] {
  const times: number[] = [];
  const { fetch } = stub;
  stub.fetch = (...of) => {
    times.push(performance.now());
    return fetch(...of);
  };
  return times;
}

describe('A Buy', () => {
  test('sends one request with a key, the token and the wish, and gives the order with its drop', async () => {
    const stub = stubFetch(bought());
    const order = await run(clientOf(stub).buy('drop_1', { ...wish, quantity: 2 }));
    expect(order).toEqual({ ...accepted, drop: 'drop_1' });
    expect(stub.sent).toHaveLength(1);
    expect(stub.sent[0]).toMatchObject({ method: 'POST', path: '/v1/drops/drop_1/orders' });
    expect(JSON.parse(String(stub.sent[0]?.body))).toEqual({
      sku: 'phone',
      quantity: 2,
      payment: { method: 'wallet' },
    });
    expect(stub.sent[0]?.headers.get('authorization')).toBe('Bearer a.token');
    expect(stub.keys()[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('has its key stored before the request leaves', async () => {
    const { storage, items } = memory();
    let stored: string[] = [];
    const stub = stubFetch(() => {
      stored = [...items.values()];
      return bought();
    });
    await run(clientOf(stub, { storage }).buy('drop_1', wish));
    expect(JSON.parse(stored[0] ?? '')).toMatchObject({ key: stub.keys()[0] });
  });

  test.for([
    ['a network that fails', lost],
    ['429 rate_limited', refusal('rate_limited', 429, { retryAfterMs: 200 })],
    ['503 overloaded', refusal('overloaded', 503, { retryAfterMs: 200 })],
    ['409 in_progress', refusal('in_progress', 409)],
    ['500 internal_error', refusal('internal_error', 500)],
    ['502 of a proxy', new Response('<html>', { status: 502 })],
    ['the sign-in page of a public network', new Response('<html>Welcome', { status: 200 })],
    ['an engine that says nothing', 'never'],
  ] as const)('is sent again after %s, with the same key and the same bytes', async ([, reply]) => {
    const stub = stubFetch(reply, reply, bought());
    expect(await run(clientOf(stub).buy('drop_1', wish))).toMatchObject({ id: 'order_1' });
    expect(stub.sent).toHaveLength(3);
    expect(new Set(stub.keys()).size).toBe(1);
    expect(new Set(stub.sent.map(({ body }) => body)).size).toBe(1);
  });

  test('waits as long as retryAfterMs says, to the millisecond', async () => {
    const stub = stubFetch(refusal('overloaded', 503, { retryAfterMs: 1_234 }), bought());
    const times = waitsOf(stub);
    await run(clientOf(stub).buy('drop_1', wish));
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBe(1_234);
  });

  test('waits the seconds of a Retry-After and up to one more, where a proxy told them to all alike', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const headers = { 'retry-after': '3' };
    const stub = stubFetch(new Response('', { status: 503, headers }), bought());
    const times = waitsOf(stub);
    await run(clientOf(stub).buy('drop_1', wish));
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBe(3_500);
  });

  test('waits with full jitter where nobody says how long: up to a bound that doubles', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const stub = stubFetch(lost, lost, lost, lost, bought());
    const times = waitsOf(stub);
    await run(clientOf(stub).buy('drop_1', wish));
    const waits = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(waits).toEqual([250, 500, 1_000, 2_000]);
  });

  test('is refused at once where the engine has decided, with the members of the code', async () => {
    const stub = stubFetch(
      refusal('buyer_limit', 409, { limit: 1, scope: 'item', order: 'order_7' }),
    );
    const problem = await problemOf(clientOf(stub).buy('drop_1', wish));
    expect(stub.sent).toHaveLength(1);
    if (problem.code !== 'buyer_limit') throw new Error(problem.code);
    expectTypeOf(problem.limit).toEqualTypeOf<number>();
    expect(problem).toMatchObject({ status: 409, limit: 1, order: 'order_7' });
  });

  test.for(['sold_out', 'all_held', 'drop_not_open', 'drop_paused', 'drop_ended', 'lapse_limit'])(
    'does not decide for the buyer to try again after %s',
    async (code) => {
      const stub = stubFetch(refusal(code, 409, { retryAfterMs: 100 }));
      expect(await problemOf(clientOf(stub).buy('drop_1', wish))).toMatchObject({ code });
      expect(stub.sent).toHaveLength(1);
    },
  );

  test('does not hammer a frozen drop, which somebody has to rebuild', async () => {
    const stub = stubFetch(refusal('drop_frozen', 503, { retryAfterMs: 100 }));
    expect(await problemOf(clientOf(stub).buy('drop_1', wish))).toMatchObject({
      code: 'drop_frozen',
    });
    expect(stub.sent).toHaveLength(1);
  });

  test('passes on a code that this version does not know, which a switch leaves to default', async () => {
    const stub = stubFetch(refusal('not_in_your_district', 409, { district: 'Haidian' }));
    const problem = await problemOf(clientOf(stub).buy('drop_1', wish));
    const words = () => {
      switch (problem.code) {
        case 'sold_out':
          return `${problem.available}`;
        case 'buyer_limit':
          return `${problem.limit}`;
        default:
          return `${problem.code}: ${problem.title}`;
      }
    };
    expect(words()).toBe('not_in_your_district: It is not_in_your_district');
    expectTypeOf<NewerCode>().toExtend<Problem['code']>();
    expectTypeOf<Problem['code']>().toExtend<string>();
  });

  test('gives up at once where the wait would pass the deadline, and says how long it is', async () => {
    const stub = stubFetch(refusal('rate_limited', 429, { retryAfterMs: 60_000 }));
    const started = performance.now();
    const problem = await problemOf(clientOf(stub).buy('drop_1', wish, { deadlineMs: 5_000 }));
    expect(problem).toMatchObject({ code: 'rate_limited', retryAfterMs: 60_000 });
    expect(performance.now()).toBe(started);
  });

  test('ends as no_answer at the deadline when nothing answers, and the next press has the same key', async () => {
    const { storage } = memory();
    const dead = stubFetch('never');
    const started = performance.now();
    expect(await problemOf(clientOf(dead, { storage }).buy('drop_1', wish))).toMatchObject({
      code: 'no_answer',
      status: 0,
    });
    expect(performance.now() - started).toBeLessThanOrEqual(30_000);
    expect(dead.sent.length).toBeGreaterThan(2);
    const alive = stubFetch(bought());
    await run(clientOf(alive, { storage }).buy('drop_1', wish));
    expect(new Set([...dead.keys(), ...alive.keys()]).size).toBe(1);
  });

  test('ends with the order that an unknown outcome names', async () => {
    const unknown = refusal('outcome_unknown', 503, { order: 'order_1', retryAfterMs: 300 });
    const stub = stubFetch(unknown, json(anOrder('paid')));
    expect(await run(clientOf(stub).buy('drop_1', wish))).toMatchObject({ state: 'paid' });
    expect(stub.sent.map(({ path }) => path)).toEqual([
      '/v1/drops/drop_1/orders',
      '/v1/orders/order_1',
    ]);
  });

  test('is sent again with the same key where an unknown outcome has made no order', async () => {
    const unknown = refusal('outcome_unknown', 503, { order: 'order_1', retryAfterMs: 300 });
    const stub = stubFetch(unknown, refusal('unknown_order', 404), bought());
    expect(await run(clientOf(stub).buy('drop_1', wish))).toMatchObject({ state: 'reserved' });
    expect(stub.sent.map(({ method }) => method)).toEqual(['POST', 'GET', 'POST']);
    expect(stub.keys()[2]).toBe(stub.keys()[0]);
  });

  test('looks up the order of an unknown outcome even when there is no time left to wait', async () => {
    const unknown = refusal('outcome_unknown', 503, { order: 'order_1', retryAfterMs: 60_000 });
    const stub = stubFetch(unknown, json(anOrder('reserved')));
    const order = await run(clientOf(stub).buy('drop_1', wish, { deadlineMs: 5_000 }));
    expect(order).toMatchObject({ id: 'order_1' });
  });

  test('that is replayed gives the order as it is now, and not as it was first', async () => {
    const stub = stubFetch(lost, replayed(), json(anOrder('released')));
    expect(await run(clientOf(stub).buy('drop_1', wish))).toMatchObject({ state: 'released' });
  });
});

describe('A key', () => {
  test('is used again after a reload while the fate of its order is not known', async () => {
    const { storage } = memory();
    const before = stubFetch('never');
    const leaving = new AbortController();
    setTimeout(() => leaving.abort(new Error('the page was left')), 100);
    const { signal } = leaving;
    const left = run(clientOf(before, { storage }).buy('drop_1', wish, { signal }));
    await expect(left).rejects.toThrow('the page was left');
    const after = stubFetch(bought());
    await run(clientOf(after, { storage }).buy('drop_1', wish));
    expect(after.keys()).toEqual([before.keys()[0]]);
  });

  test('whose order is still reserved gives that order after a reload, without another Buy', async () => {
    const { storage } = memory();
    await run(clientOf(stubFetch(bought()), { storage }).buy('drop_1', wish));
    await vi.advanceTimersByTimeAsync(60_000);
    const after = stubFetch(json(anOrder('reserved')));
    expect(await run(clientOf(after, { storage }).buy('drop_1', wish))).toMatchObject({
      id: 'order_1',
    });
    expect(after.sent.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /v1/orders/order_1',
    ]);
  });

  test.for(['paid', 'released', 'refunded'])(
    'whose order is %s is over: the next press is a new Buy with a new key',
    async (state) => {
      const { storage } = memory();
      const first = stubFetch(bought());
      await run(clientOf(first, { storage }).buy('drop_1', wish));
      await vi.advanceTimersByTimeAsync(60_000);
      const next = stubFetch(
        json(anOrder(state)),
        json({ ...accepted, id: 'order_2' }, { status: 202 }),
      );
      expect(await run(clientOf(next, { storage }).buy('drop_1', wish))).toMatchObject({
        id: 'order_2',
      });
      expect(next.keys()[1]).not.toBe(first.keys()[0]);
    },
  );

  test('stands for a double tap, too, when the wallet was quicker than the second tap', async () => {
    const stub = stubFetch(bought(), json(anOrder('paid')));
    const shop = clientOf(stub);
    await run(shop.buy('drop_1', wish));
    await vi.advanceTimersByTimeAsync(300);
    expect(await run(shop.buy('drop_1', wish))).toMatchObject({ id: 'order_1', state: 'paid' });
    expect(stub.sent.map(({ method }) => method)).toEqual(['POST', 'GET']);
  });

  test('stands for a double tap, too, when the key is older than the press that was accepted', async () => {
    const { storage } = memory();
    const stub = stubFetch(refusal('sold_out', 409), bought(), json(anOrder('paid')));
    const shop = clientOf(stub, { storage });
    await problemOf(shop.buy('drop_1', wish));
    await vi.advanceTimersByTimeAsync(600_000);
    await run(shop.buy('drop_1', wish));
    await vi.advanceTimersByTimeAsync(300);
    expect(await run(shop.buy('drop_1', wish))).toMatchObject({ id: 'order_1', state: 'paid' });
    expect(stub.sent.map(({ method }) => method)).toEqual(['POST', 'POST', 'GET']);
  });

  test('of a lost press whose order has lapsed meanwhile is followed by a new Buy', async () => {
    const { storage } = memory();
    const stub = stubFetch(lost);
    await problemOf(clientOf(stub, { storage, deadlineMs: 1 }).buy('drop_1', wish));
    const later = stubFetch(replayed(), json(anOrder('released')), bought());
    const order = await run(clientOf(later, { storage }).buy('drop_1', wish));
    expect(order.state).toBe('reserved');
    const [first, , second] = later.keys();
    expect(first).toBe(stub.keys()[0]);
    expect(second).not.toBe(first);
  });

  test('of a newer press is not replaced by the late answer of an older one', async () => {
    const { storage } = memory();
    let answerLate: (response: Response) => void = () => {};
    const late = new Promise<Response>((resolve) => {
      answerLate = resolve;
    });
    const slow = flashdrop('http://engine.test/', { storage, fetch: () => late });
    const first = slow.buy('drop_1', wish);
    await vi.advanceTimersByTimeAsync(100);
    const other = stubFetch(bought(), json(anOrder('paid')), lost);
    const tab = flashdrop('http://engine.test/', { storage, fetch: other.fetch, deadlineMs: 500 });
    await run(tab.buy('drop_1', wish));
    await vi.advanceTimersByTimeAsync(3_000);
    await problemOf(tab.buy('drop_1', wish));
    const newer = other.keys().at(-1);
    answerLate(bought());
    await run(first);
    const again = stubFetch(bought());
    await run(
      flashdrop('http://engine.test/', { storage, fetch: again.fetch }).buy('drop_1', wish),
    );
    expect(again.keys()[0]).toBe(newer);
  });

  test('is not written over where the storage could not be read', async () => {
    const { storage, items } = memory();
    const stub = stubFetch(lost);
    await problemOf(clientOf(stub, { storage, deadlineMs: 1 }).buy('drop_1', wish));
    const before = [...items];
    const busy = () => Promise.reject(new Error('busy'));
    const unreadable = { ...storage, getItem: busy };
    await run(clientOf(stubFetch(bought()), { storage: unreadable }).buy('drop_1', wish));
    expect([...items]).toEqual(before);
  });

  test('is the same for presses at the same time, in two clients of one storage', async () => {
    const { storage } = memory();
    const stub = stubFetch(bought());
    const tabs = [clientOf(stub, { storage }), clientOf(stub, { storage })];
    await run(Promise.all([...tabs, ...tabs].map((tab) => tab.buy('drop_1', wish))));
    const keys = stub.keys().filter((key) => key !== null);
    expect(new Set(keys).size).toBe(1);
  });

  test('is of one wish: another item, quantity, method, field or buyer has its own', async () => {
    const { storage } = memory();
    const stub = stubFetch(lost);
    const tokenOf = (sub: string) => `e30.${btoa(JSON.stringify({ sub }))}.x`;
    const press = (more: object, token = tokenOf('ada')) =>
      run(
        clientOf(stub, { storage, token: () => token, deadlineMs: 1 }).buy('drop_1', {
          ...wish,
          ...more,
        }),
      ).catch(() => {});
    await press({});
    await press({ quantity: 1 });
    expect(new Set(stub.keys()).size).toBe(1);
    await press({ sku: 'case' });
    await press({ quantity: 2 });
    await press({ method: 'alipay' });
    await press({ fields: { phone: '1', city: '2' } });
    await press({}, tokenOf('bob'));
    expect(new Set(stub.keys()).size).toBe(6);
    await press({ fields: { city: '2', phone: '1' } });
    expect(new Set(stub.keys()).size).toBe(6);
  });

  test('says nothing of what the buyer typed or who it is, where it is stored', async () => {
    const { storage, items } = memory();
    const token = `e30.${btoa(JSON.stringify({ sub: 'ada@example.org' }))}.x`;
    const shop = clientOf(stubFetch(bought()), { storage, token: () => token });
    await run(shop.buy('drop_1', { ...wish, fields: { phone: '13800138000' } }));
    expect(JSON.stringify([...items])).not.toMatch(/13800138000|ada/);
  });

  test('is kept in memory where the storage is full or forbidden, and the Buy goes on', async () => {
    const refuse = () => {
      throw new Error('QuotaExceededError');
    };
    const stub = stubFetch(lost, bought());
    const shop = clientOf(stub, { storage: { getItem: refuse, setItem: refuse } });
    expect(await run(shop.buy('drop_1', wish))).toMatchObject({ id: 'order_1' });
    expect(new Set(stub.keys()).size).toBe(1);
  });

  test('is kept in localStorage by a page', async () => {
    const { storage, items } = memory();
    vi.stubGlobal('document', {});
    vi.stubGlobal('localStorage', storage);
    const stub = stubFetch(bought());
    await run(clientOf(stub).buy('drop_1', wish));
    expect([...items.keys()]).toEqual([expect.stringMatching(/^flashdrop:drop_1:/)]);
    expect([...items.values()][0]).toContain(stub.keys()[0]);
  });

  test('is kept in memory by a frame that may use neither localStorage nor locks', async () => {
    const forbidden = () => Promise.reject(new Error('SecurityError'));
    const none = { getItem: forbidden, setItem: forbidden };
    vi.stubGlobal('document', {});
    vi.stubGlobal('localStorage', none);
    vi.stubGlobal('navigator', { locks: { request: forbidden } });
    const stub = stubFetch(bought());
    const shop = clientOf(stub);
    await run(Promise.all([shop.buy('drop_1', wish), shop.buy('drop_1', wish)]));
    expect(new Set(stub.keys().filter((key) => key !== null)).size).toBe(1);
  });

  test('that stands for another request is replaced, so that the next press can succeed', async () => {
    const { storage } = memory();
    const stub = stubFetch(refusal('idempotency_key_reused', 422), bought());
    const shop = clientOf(stub, { storage });
    expect(await problemOf(shop.buy('drop_1', wish))).toMatchObject({
      code: 'idempotency_key_reused',
    });
    await run(shop.buy('drop_1', wish));
    expect(stub.keys()[1]).not.toBe(stub.keys()[0]);
  });
});
