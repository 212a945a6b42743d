import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { flashdrop, type Order } from '../../client/src/index.ts';
import { anOrder, json, lost, refusal, run, type Sent, stubFetch } from './stub.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const event = (id: number, state: string, more: object = {}) =>
  `id: ${id}\nevent: order\ndata: ${JSON.stringify({ ...anOrder(state), ...more })}\n\n`;

/** A stream that sends its parts; then it ends, or stays open and silent. */
function stream(parts: string[], end: 'ends' | 'cut' | 'silent' = 'ends') {
  return ({ signal }: Sent): Response => {
    const encoder = new TextEncoder();
    const body = new ReadableStream({
      start(controller) {
        for (const part of parts) controller.enqueue(encoder.encode(part));
        if (end === 'ends') controller.close();
        else if (end === 'silent') {
          signal.addEventListener('abort', () => controller.error(signal.reason));
        }
      },
      pull(controller) {
        if (end === 'cut') controller.error(lost);
      },
    });
    return new Response(body, { headers: { 'content-type': 'text/event-stream; charset=utf-8' } });
  };
}

/** Streams stand at the front of the list of replies, so a clone of a stream is never needed. */
function watch(stub: ReturnType<typeof stubFetch>, signal?: AbortSignal): Promise<string[]> {
  const shop = flashdrop('http://engine.test', { fetch: stub.fetch, token: () => 'a.token' });
  const seen: string[] = [];
  return (async () => {
    for await (const { state, payment } of shop.orders.watch('order_1', { signal })) {
      seen.push(payment ? `${state} ${payment.state}` : state);
    }
    return seen;
  })();
}

const pathsOf = (stub: ReturnType<typeof stubFetch>) => stub.sent.map(({ path }) => path);
const streamPath = '/v1/orders/order_1/stream';

test('A watch yields each state that the stream sends and ends when the order is no longer reserved', async () => {
  const payment: Order['payment'] = { provider: 'alipay', state: 'started' };
  const text = `retry: 1500\n\n${event(1, 'reserved')}:\n\n${event(2, 'reserved', { payment })}${event(3, 'paid')}`;
  // Cut in the middle of lines and of letters: bytes come as they come.
  const parts = text.match(/.{1,7}/gs) ?? [];
  const stub = stubFetch(stream(parts, 'silent'), lost);
  expect(await run(watch(stub))).toEqual(['reserved', 'reserved started', 'paid']);
  expect(pathsOf(stub)).toEqual([streamPath]);
  expect(stub.sent[0]?.headers.get('authorization')).toBe('Bearer a.token');
  expect(stub.sent[0]?.signal.aborted).toBe(true);
});

test('A cut stream is opened again after the last event, and no state is told twice', async () => {
  const stub = stubFetch(
    stream(['retry: 1500\n\n', event(1, 'reserved')], 'cut'),
    stream([event(1, 'reserved'), event(2, 'paid')]),
    lost,
  );
  expect(await run(watch(stub))).toEqual(['reserved', 'paid']);
  expect(stub.sent.map(({ headers }) => headers.get('last-event-id'))).toEqual([null, '1']);
});

test.for([
  ['the engine has too many streams open', refusal('streams_open', 429, { retryAfterMs: 60_000 })],
  ['a proxy does not pass streams on', new Response('<html>', { status: 406 })],
  ['the network fails', lost],
  ['a proxy holds the stream back', stream([], 'silent')],
] as const)('An order is polled while there is no stream: %s', async ([, first]) => {
  const stub = stubFetch(first, json(anOrder('paid')));
  expect(await run(watch(stub))).toEqual(['paid']);
  expect(pathsOf(stub)).toEqual([streamPath, '/v1/orders/order_1']);
});

test('After polls the stream is tried again', async () => {
  const stub = stubFetch(
    refusal('streams_open', 429, { retryAfterMs: 10 }),
    json(anOrder('reserved')),
    stream([event(2, 'paid')]),
    lost,
  );
  expect(await run(watch(stub))).toEqual(['reserved', 'paid']);
  expect(pathsOf(stub)).toEqual([streamPath, '/v1/orders/order_1', streamPath]);
});

test('Where bodies cannot be read as they come, as in React Native, an order is polled until its end', async () => {
  const replies = ['reserved', 'reserved', 'paid'].map((state) => json(anOrder(state)));
  const polled = {
    ...stubFetch(lost),
    fetch: async () => replies.shift() ?? json(anOrder('paid')),
  };
  vi.stubGlobal('Response', class {});
  expect(await run(watch(polled))).toEqual(['reserved', 'paid']);
});

test('A stream that falls silent is given up and opened again', async () => {
  const stub = stubFetch(
    stream([event(1, 'reserved')], 'silent'),
    stream([event(2, 'paid')]),
    lost,
  );
  expect(await run(watch(stub))).toEqual(['reserved', 'paid']);
});

test('A watch of an order that does not exist, or is not yours, ends with the problem', async () => {
  const stub = stubFetch(refusal('unknown_order', 404));
  await expect(run(watch(stub))).rejects.toMatchObject({ problem: { code: 'unknown_order' } });
  expect(stub.sent).toHaveLength(1);
});

test('An abort ends a watch with its reason, and lets the stream go', async () => {
  const stub = stubFetch(stream([event(1, 'reserved')], 'silent'), lost);
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error('left')), 1_000);
  await expect(run(watch(stub, controller.signal))).rejects.toThrow('left');
  expect(stub.sent).toHaveLength(1);
  expect(stub.sent[0]?.signal.aborted).toBe(true);
});

test('Leaving the loop lets the stream go', async () => {
  const stub = stubFetch(stream([event(1, 'reserved')], 'silent'), lost);
  const shop = flashdrop('http://engine.test', { fetch: stub.fetch });
  await run(
    (async () => {
      for await (const _ of shop.orders.watch('order_1')) break;
    })(),
  );
  expect(stub.sent[0]?.signal.aborted).toBe(true);
});

test("A watched drop yields a card when it changes, not when only the engine's time does", async () => {
  const card = (state: string, serverTime: string) =>
    `id: x\nevent: drop\ndata: ${JSON.stringify({ state, serverTime })}\n\n`;
  const parts = [
    card('scheduled', '2026-11-27T12:00:00Z'),
    card('scheduled', '2026-11-27T12:00:01Z'),
    card('open', '2026-11-27T12:00:02Z'),
    card('ended', '2026-11-27T12:00:03Z'),
  ];
  const stub = stubFetch(stream(parts), lost);
  const shop = flashdrop('http://engine.test', { fetch: stub.fetch });
  const seen: string[] = [];
  await run(
    (async () => {
      for await (const { state } of shop.drops.watch('drop_1')) seen.push(state);
    })(),
  );
  expect(seen).toEqual(['scheduled', 'open', 'ended']);
  expect(shop.now()).toBe(Date.parse('2026-11-27T12:00:03Z'));
});
