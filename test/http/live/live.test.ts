import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import type { MerchantId } from '../../../src/domain/ids.ts';
import { listen, type Server } from '../../../src/http/server/server.ts';
import { laneKey } from '../../../src/inventory/keys.ts';
import { connectHot } from '../../../src/inventory/redis-connections.ts';
import { anItem } from '../../support/drops.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
let server: Server;
let merchantId: MerchantId;

beforeAll(async () => {
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settling: false,
    settings: { streamsMax: 3 },
  });
  merchantId = (await engine.merchant()).id;
  server = await listen(engine.app, { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await server?.stop({ drainMs: 1_000 });
  await engine?.stop();
});

type Event = { id: string; name: string; data: Record<string, unknown> };

/** Follows a stream as a browser's EventSource would. */
async function follow(path: string, headers: Record<string, string> = {}) {
  const control = new AbortController();
  const response = await fetch(server.address + path, { headers, signal: control.signal });
  const events: Event[] = [];
  let text = '';
  let ended = false;
  const read = async () => {
    if (!response.body) return;
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const block = text.slice(0, end);
        text = text.slice(end + 2);
        const match = /^id: (.*)\nevent: (.*)\ndata: (.*)$/.exec(block);
        if (!match) continue;
        const [, id, name, data] = match as unknown as [string, string, string, string];
        events.push({ id, name, data: JSON.parse(data) });
      }
    }
  };
  const done = read()
    .catch(() => {})
    .finally(() => {
      ended = true;
    });
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    events,
    ended: () => ended,
    async stop() {
      control.abort();
      await done;
    },
  };
}

async function buy(drop: Drop, buyer: string): Promise<string> {
  const answer = await engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/orders`,
    headers: { ...engine.buyer(buyer), 'idempotency-key': 'k' },
    payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
  });
  expect(answer.statusCode, answer.body).toBe(202);
  return answer.json().id;
}

const place = (id: string, drop: Drop) => [{ drop: drop.id, lane: 0 }, id.slice(-22)] as const;

const noStreams = () =>
  eventually(async () => {
    const page = await engine.deps.metrics.text();
    return page.includes('flashdrop_streams_open 0\n');
  });

describe("An order's stream", () => {
  test('sends the order now, then the paid order, and ends', async () => {
    const drop = await engine.publish(merchantId);
    const id = await buy(drop, 'ann');
    const stream = await follow(`/v1/orders/${id}/stream`, engine.buyer('ann'));
    expect(stream.type).toBe('text/event-stream; charset=utf-8');
    await eventually(() => stream.events.length === 1);
    expect(stream.events[0]).toMatchObject({ name: 'order', data: { id, state: 'reserved' } });
    const [ref, digest] = place(id, drop);
    await engine.deps.lanes.confirm(ref, [digest]);
    await eventually(stream.ended);
    expect(stream.events.map((event) => event.data['state'])).toEqual(['reserved', 'paid']);
    expect(stream.events[1]?.data).toMatchObject({ sku: 'phone', currency: 'CNY' });

    // A browser comes back by itself after the end: 204 tells it to stop.
    const last = stream.events[1]?.id as string;
    const again = await follow(`/v1/orders/${id}/stream`, {
      ...engine.buyer('ann'),
      'last-event-id': last,
    });
    expect(again.status).toBe(204);
    await noStreams();
  });

  test('sends why an order was released, whatever Last-Event-ID says', async () => {
    const drop = await engine.publish(merchantId);
    const id = await buy(drop, 'ann');
    const stream = await follow(`/v1/orders/${id}/stream`, {
      ...engine.buyer('ann'),
      'last-event-id': '999; DROP TABLE',
    });
    await eventually(() => stream.events.length === 1);
    const [ref, digest] = place(id, drop);
    await engine.deps.lanes.release(ref, [{ digest, reason: 'declined' }]);
    await eventually(stream.ended);
    expect(stream.events[1]?.data).toMatchObject({ state: 'released', reason: 'declined' });
    await noStreams();
  });

  test('goes on while a lane of another drop cannot be read, which the log names and does not repeat in every poll', async () => {
    const [broken, sound] = [await engine.publish(merchantId), await engine.publish(merchantId)];
    const ids = [await buy(broken, 'ann'), await buy(sound, 'ann')];
    // The stream of the broken lane is polled first.
    const [first, second] = [
      await follow(`/v1/orders/${ids[0]}/stream`, engine.buyer('ann')),
      await follow(`/v1/orders/${ids[1]}/stream`, engine.buyer('ann')),
    ];
    await eventually(() => first.events.length + second.events.length === 2);
    const redis = connectHot(sharedRedisUrl(), { timeoutMs: 2_000 });
    await once(redis, 'ready');
    const orders = laneKey(engine.namespace, { drop: broken.id, lane: 0 }, 'orders');
    await redis.rename(orders, `${orders}:kept`);
    await redis.set(orders, 'no hash');
    const [ref, digest] = place(ids[1] ?? '', sound);
    await engine.deps.lanes.confirm(ref, [digest]);
    await eventually(second.ended);
    const told = engine.logged.filter((line) => line.includes(`lane 0 of ${broken.id} wait`));
    expect(told).toHaveLength(1);
    await redis.rename(`${orders}:kept`, orders);
    redis.disconnect();
    const [, left] = place(ids[0] ?? '', broken);
    await engine.deps.lanes.confirm({ drop: broken.id, lane: 0 }, [left]);
    await eventually(first.ended);
    await noStreams();
  });

  test('is open to its buyer only', async () => {
    const drop = await engine.publish(merchantId);
    const id = await buy(drop, 'ann');
    const path = `/v1/orders/${id}/stream`;
    expect((await follow(path, engine.buyer('bob'))).status).toBe(404);
    expect((await follow(path)).status).toBe(401);
  });
});

describe("A drop's stream", () => {
  test('sends the card, then each change of it, and ends with the drop', async () => {
    const drop = await engine.publish(merchantId, { items: [anItem({ allotment: 1 })] });
    const stream = await follow(`/v1/drops/${drop.id}/stream`);
    await eventually(() => stream.events.length === 1);
    expect(stream.events[0]).toMatchObject({
      name: 'drop',
      data: { state: 'open', availability: 'available' },
    });
    await buy(drop, 'ann');
    await eventually(() => stream.events.at(-1)?.data['availability'] === 'all_held');
    await engine.services.publishing.act({ merchantId, drop: drop.id, action: 'end' });
    await eventually(stream.ended);
    expect(stream.events.at(-1)?.data['state']).toBe('ended');
    const again = await follow(`/v1/drops/${drop.id}/stream`, {
      'last-event-id': stream.events.at(-1)?.id as string,
    });
    expect(again.status).toBe(204);
    await noStreams();
  });

  test('of an unknown drop is 404', async () => {
    expect((await follow('/v1/drops/drop_aaaaaaaaaaaa/stream')).status).toBe(404);
  });
});

test('Streams beyond the limit are refused with Retry-After, and a closed stream makes room for another', async () => {
  const drop = await engine.publish(merchantId);
  const path = `/v1/drops/${drop.id}/stream`;
  const open = await Promise.all([follow(path), follow(path), follow(path)]);
  const refused = await fetch(server.address + path);
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({ code: 'overloaded' });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  for (const stream of open) await stream.stop();
  await noStreams();
  const next = await follow(path);
  expect(next.status).toBe(200);
  await next.stop();
  await noStreams();
});

describe('A client that leaves before its stream is open', () => {
  /** Asks for a stream, and leaves while the look-up of what it shows is held up. */
  async function leaveEarly(
    path: string,
    headers: Record<string, string>,
    holdUp: (held: Promise<void>) => { mock: { calls: unknown[] }; mockRestore(): void },
  ): Promise<void> {
    const closed = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    engine.app.server.once('request', (_request, response) => {
      response.once('close', closed.resolve);
    });
    const lookUp = holdUp(held.promise);
    try {
      const control = new AbortController();
      const left = fetch(server.address + path, { headers, signal: control.signal });
      await eventually(() => lookUp.mock.calls.length > 0);
      control.abort();
      await expect(left).rejects.toThrow();
      await closed.promise;
    } finally {
      held.resolve();
      lookUp.mockRestore();
    }
  }

  test('takes up no place, of an order or of a drop, and the next one is answered', async () => {
    const drop = await engine.publish(merchantId);
    const order = await buy(drop, 'eve');
    const { catalog, services } = engine.deps;
    const { orders } = services;
    const [peek, get] = [orders.peek, catalog.get];
    const paths = [`/v1/orders/${order}/stream`, `/v1/drops/${drop.id}/stream`] as const;
    const eve = engine.buyer('eve');
    for (let n = 0; n < 3; n += 1) {
      await leaveEarly(paths[0], eve, (held) =>
        vi.spyOn(orders, 'peek').mockImplementation((id) => held.then(() => peek(id))),
      );
      await leaveEarly(paths[1], {}, (held) =>
        vi.spyOn(catalog, 'get').mockImplementation((id) => held.then(() => get(id))),
      );
    }
    for (const path of paths) {
      const next = await follow(path, eve);
      expect(next.status).toBe(200);
      await next.stop();
    }
    await noStreams();
    expect(engine.logged.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
  });
});
