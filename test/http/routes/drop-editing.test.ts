import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { cardBody, dropBody } from '../../../src/http/schemas/drops.ts';
import type { Lanes } from '../../../src/inventory/lanes.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

type Store = Awaited<ReturnType<TestEngine['merchant']>>;

let engine: TestEngine;
let store: Store;
/** Waits before a drop is published to its lane; a test sets it. */
let beforePublish: (drop: Drop) => Promise<void> = async () => {};

const slowed = (lanes: Lanes): Lanes => ({
  ...lanes,
  async publish(...asked) {
    await beforePublish(asked[0]);
    return await lanes.publish(...asked);
  },
});

beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), lanes: slowed });
  store = await engine.merchant();
});
afterAll(() => engine?.stop());

type Asked = {
  as?: Pick<Store, 'authorization'>;
  payload?: object;
  headers?: Record<string, string>;
};

function ask(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, asked: Asked = {}) {
  const { as = store, payload, headers } = asked;
  return engine.app.inject({
    method,
    url,
    headers: { authorization: as.authorization, ...headers },
    ...(payload ? { payload } : {}),
  });
}

const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
const phone = { sku: 'phone', title: 'A phone', unitAmount: 100, allotment: 10, perBuyer: 2 };
const cover = { sku: 'cover', title: 'A cover', unitAmount: 10, allotment: 5, perBuyer: 1 };

async function create(overrides: object = {}) {
  const payload = {
    title: 'Noon',
    currency: 'CNY',
    startsAt: inHours(1),
    endsAt: inHours(3),
    items: [phone],
    ...overrides,
  };
  const answer = await ask('POST', '/v1/drops', { payload });
  expect(answer.statusCode, answer.body).toBe(201);
  return dropBody.parse(answer.json());
}

async function published(overrides: object = {}) {
  const { id } = await create(overrides);
  const answer = await act(id, 'publish');
  expect(answer.statusCode, answer.body).toBe(200);
  return dropBody.parse(answer.json());
}

const act = (id: string, action: string) => ask('POST', `/v1/drops/${id}/${action}`);
const patch = (id: string, payload: object, headers: Record<string, string> = {}) =>
  ask('PATCH', `/v1/drops/${id}`, { payload, headers });

async function edited(id: string, payload: object) {
  const answer = await patch(id, payload);
  expect(answer.statusCode, answer.body).toBe(200);
  return dropBody.parse(answer.json());
}

const stored = async (id: string) =>
  dropBody.parse(
    (await ask('GET', '/v1/drops?limit=200')).json().drops.find((drop: Drop) => drop.id === id),
  );

async function laneOf(id: string) {
  const ref = { drop: (await stored(id)).id as Drop['id'], lane: 0 };
  const inspected = await engine.deps.lanes.inspect(ref);
  if (inspected.status !== 'done') throw new Error('the lane has no rules');
  return { ...inspected, drop: await engine.deps.lanes.readDrop(ref) };
}

const buy = (id: string, buyer: string, sku = 'phone') =>
  ask('POST', `/v1/drops/${id}/orders`, {
    as: engine.buyer(buyer),
    headers: { 'idempotency-key': 'k' },
    payload: { sku, quantity: 1, payment: { method: 'wallet' } },
  });

async function isSound(id: string): Promise<true> {
  const audit = (await ask('GET', `/v1/drops/${id}/audit`)).json();
  expect(audit.clean, JSON.stringify(audit)).toBe(true);
  return true;
}

describe('A draft', () => {
  test('can be edited in every field, and null clears an optional one', async () => {
    const { id, revision } = await create({ description: 'Soon.', passwordAbove: 5 });
    const change = {
      title: 'Evening',
      currency: 'EUR',
      startsAt: inHours(2),
      endsAt: inHours(4),
      holdMs: 60_000,
      lateCapture: 'refund',
      appointment: {},
      passwordAbove: null,
      description: null,
      link: 'https://shop.example.com/',
      metadata: { season: '3' },
      items: [cover, phone],
    };
    const drop = await edited(id, change);
    const { appointment, passwordAbove, description, ...plain } = change;
    expect(drop).toMatchObject({
      ...plain,
      passwordAbove: null,
      version: 0,
      revision: revision + 1,
    });
    expect(drop.description).toBeUndefined();
    expect(drop.appointment).toMatchObject({ required: true, until: change.startsAt });
    expect(await stored(id)).toEqual(drop);
  });

  test('keeps what an edit does not name, and an edit that changes nothing is no change', async () => {
    const drop = await create({ holdMs: 60_000, metadata: { a: '1' }, appointment: {} });
    expect(await edited(drop.id, { title: 'New' })).toEqual({ ...drop, title: 'New', revision: 2 });
    expect(await edited(drop.id, { title: 'New' })).toMatchObject({ revision: 2 });
    expect(await edited(drop.id, {})).toMatchObject({ revision: 2 });
  });

  test.for([
    [{ title: '' }, 'title'],
    [{ title: null }, 'title'],
    [{ price: 1 }, 'price'],
    [{ endsAt: inHours(0.5) }, 'endsAt'],
    [{ startsAt: inHours(-1) }, 'startsAt'],
    [{ items: [] }, 'items'],
    [{ items: null }, 'items'],
    [{ items: [phone, phone] }, 'items[1].sku'],
    [{ items: [{ ...phone, unitAmount: 0 }] }, 'items[0].unitAmount'],
    [{ appointment: { until: inHours(5) } }, 'appointment.until'],
    [{ paymentMethods: ['stripe'] }, 'paymentMethods[0]'],
    [{ id: 'drop_1' }, 'id'],
    [{ decision: 'live' }, 'decision'],
  ] as [object, string][])(
    'is refused an edit to %j, which names the field and changes nothing',
    async ([change, field]) => {
      const drop = await create();
      const answer = await patch(drop.id, change);
      expect(answer.statusCode, answer.body).toBe(400);
      expect(answer.json().errors[0].field).toBe(field);
      expect(await stored(drop.id)).toEqual(drop);
    },
  );

  test('can be deleted, the request can be repeated, and another merchant sees nothing of it', async () => {
    const { id } = await create();
    const other = await engine.merchant();
    expect((await ask('DELETE', `/v1/drops/${id}`, { as: other })).statusCode).toBe(404);
    for (let n = 0; n < 2; n += 1) {
      const answer = await ask('DELETE', `/v1/drops/${id}`);
      expect(answer.statusCode, answer.body).toBe(204);
      expect((await act(id, 'publish')).statusCode).toBe(404);
      expect((await patch(id, { title: 'New' })).statusCode).toBe(404);
    }
    expect((await ask('DELETE', `/v1/drops/${id}`, { as: other })).statusCode).toBe(404);
    expect((await ask('DELETE', '/v1/drops/drop_0123456789abcdef')).statusCode).toBe(404);
  });

  test('is deleted or published, whichever comes first, and never both', async () => {
    for (let n = 0; n < 8; n += 1) {
      const { id } = await create();
      const [deleted, live] = await Promise.all([
        ask('DELETE', `/v1/drops/${id}`),
        act(id, 'publish'),
      ]);
      expect([
        [204, 404],
        [409, 200],
      ]).toContainEqual([deleted.statusCode, live.statusCode]);
    }
  });
});

test('A drop that was published is not deleted', async () => {
  const { id } = await published();
  const answer = await ask('DELETE', `/v1/drops/${id}`);
  expect(answer.statusCode).toBe(409);
  expect(answer.json()).toMatchObject({ code: 'drop_action_refused', state: 'scheduled' });
});

describe('A published drop that has not opened', () => {
  test('is edited in the lane as one new version: rules, window, prices, allotments and new items', async () => {
    const { id, version } = await published();
    const items = [{ ...phone, unitAmount: 200, allotment: 7, perBuyer: 1 }, cover];
    const drop = await edited(id, { title: 'New', startsAt: inHours(0), holdMs: 2_000, items });
    expect(drop).toMatchObject({ title: 'New', version: version + 1, state: 'open', items });
    const lane = await laneOf(id);
    expect(lane).toMatchObject({ version: version + 1, drop: { title: 'New', items } });
    expect(lane.items.map(({ allotment }) => allotment)).toEqual([7, 5]);
    await engine.fund('ann');
    const bought = await eventually(async () => {
      const answer = await buy(id, 'ann');
      if (answer.statusCode !== 202) throw new Error(answer.body);
      return answer.json();
    });
    expect(bought).toMatchObject({ sku: 'phone', amount: 200 });
    expect((await buy(id, 'bo', 'cover')).json()).toMatchObject({ sku: 'cover', amount: 10 });
    const order = (await ask('GET', `/v1/orders/${bought.id}`, { as: engine.buyer('ann') })).json();
    expect(order).toMatchObject({ sku: 'phone', amount: 200, currency: 'CNY' });
    await eventually(() => isSound(id));
  });

  test('shows its edit on the card within a moment', async () => {
    const { id } = await published();
    await ask('GET', `/v1/drops/${id}`);
    await edited(id, { title: 'New', description: 'Now with a cover.', items: [phone, cover] });
    await eventually(async () => {
      const card = cardBody.parse((await ask('GET', `/v1/drops/${id}`)).json());
      if (card.title !== 'New') throw new Error('the card is old');
      expect(card.items.map(({ sku }) => sku)).toEqual(['phone', 'cover']);
      return true;
    });
  });

  test('forgets what it was before it opened, also in processes that had looked up an order of it', async () => {
    const { id } = await published();
    const madeUp = `ord_${id.slice('drop_'.length)}_0_${'A'.repeat(22)}`;
    await ask('GET', `/v1/orders/${madeUp}`, { as: engine.buyer('cho') });
    await edited(id, {
      title: 'New',
      currency: 'EUR',
      startsAt: inHours(0),
      items: [phone, cover],
    });
    await eventually(async () => (await buy(id, 'cho', 'cover')).statusCode === 202);
    const { id: order } = (await buy(id, 'cho', 'cover')).json();
    const view = (await ask('GET', `/v1/orders/${order}`, { as: engine.buyer('cho') })).json();
    expect(view).toMatchObject({ sku: 'cover', currency: 'EUR' });
  });

  test('keeps its items in their places: they are not moved or removed', async () => {
    const { id } = await published({ items: [phone, cover] });
    const before = await laneOf(id);
    for (const items of [[phone], [cover, phone], [{ ...phone, sku: 'other' }, cover]]) {
      const answer = await patch(id, { items });
      expect(answer.statusCode).toBe(400);
      expect(answer.json().errors[0].field).toMatch(/^items\[\d\]\.sku$/);
    }
    expect(await laneOf(id)).toEqual({ ...before, now: expect.any(Number) });
  });

  test('stays adjusted: after an adjustment its stock is not edited, and its prices and window are', async () => {
    const { id } = await published();
    const adjusted = await ask('POST', `/v1/drops/${id}/items/phone/adjustments`, {
      payload: { delta: 5, reason: 'more' },
      headers: { 'idempotency-key': 'more' },
    });
    expect(adjusted.statusCode, adjusted.body).toBe(200);
    const before = await stored(id);
    const answer = await patch(id, { title: 'New', items: [{ ...phone, allotment: 20 }] });
    expect(answer.statusCode, answer.body).toBe(409);
    expect(answer.json().code).toBe('stock_adjusted');
    expect(await stored(id)).toMatchObject({ title: before.title, items: before.items });
    await edited(id, { title: 'New', items: [{ ...phone, unitAmount: 300 }] });
    const lane = await laneOf(id);
    expect(lane.items[0]).toMatchObject({ allotment: 15, available: 15 });
    expect(lane.drop).toMatchObject({ title: 'New', items: [{ unitAmount: 300 }] });
    await isSound(id);
  });

  test('gets no rule from an edit that does not name it, if it is older than the rule', async () => {
    const old = { startsAt: Date.now() + 3_600_000, endsAt: Date.now() + 7_200_000 };
    const { id } = await engine.publish(store.id, old);
    await edited(id, { title: 'New' });
    const { drop } = await laneOf(id);
    expect(drop).toMatchObject({ title: 'New' });
    expect([drop?.unpaidHoldMs, drop?.lapsesMax]).toEqual([undefined, undefined]);
    await edited(id, { unpaidHoldMs: 30_000, lapsesMax: 5 });
    expect((await laneOf(id)).drop).toMatchObject({ unpaidHoldMs: 30_000, lapsesMax: 5 });
  });

  test('can be edited while it is paused, and stays paused', async () => {
    const { id } = await published();
    await act(id, 'pause');
    expect(await edited(id, { title: 'New' })).toMatchObject({ state: 'paused', title: 'New' });
    expect((await laneOf(id)).phase).toBe('paused');
  });
});

describe('An edit', () => {
  test('of a drop that has opened is refused, and ledger and lane stay as they were', async () => {
    const { id } = await published({ startsAt: inHours(0) });
    const [drop, lane] = [await stored(id), await laneOf(id)];
    const answer = await patch(id, { title: 'New', items: [{ ...phone, unitAmount: 1 }] });
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({ code: 'drop_not_editable', state: 'open' });
    const { version, revision, ...rest } = drop;
    expect(await stored(id)).toMatchObject(rest);
    const { items } = await laneOf(id);
    expect(items).toEqual(lane.items);
    expect((await laneOf(id)).drop).toMatchObject({ title: 'Noon', items: [{ unitAmount: 100 }] });
  });

  test.for(['pause', 'end', 'cancel'])(
    'of a drop that has opened is refused after its merchant chose to %s it',
    async (action) => {
      const { id } = await published({ startsAt: inHours(0) });
      const { state } = (await act(id, action)).json();
      const answer = await patch(id, { title: 'New' });
      expect(answer.statusCode).toBe(409);
      expect(answer.json()).toMatchObject({ code: 'drop_not_editable', state });
      expect((await stored(id)).state).toBe(state);
    },
  );

  test('that reaches the lane after the opening is refused whole, whatever the clock of the process said', async () => {
    const startsAt = Date.now() + 1_500;
    const { id } = await published({ startsAt: new Date(startsAt).toISOString() });
    beforePublish = async (drop) => {
      await eventually(() => drop.id !== id || Date.now() > startsAt + 50);
    };
    const answer = await patch(id, { title: 'New', items: [{ ...phone, unitAmount: 1 }] });
    beforePublish = async () => {};
    expect(answer.statusCode, answer.body).toBe(409);
    expect(answer.json()).toMatchObject({ code: 'drop_not_editable', state: 'open' });
    expect((await buy(id, 'dee')).json()).toMatchObject({ amount: 100 });
    expect(await stored(id)).toMatchObject({ title: 'Noon', items: [phone] });
    await eventually(() => isSound(id));
  });

  test('and an end that overtakes it leave the drop ended, edited or not, the same in lane and ledger', async () => {
    for (let n = 0; n < 5; n += 1) {
      const { id } = await published();
      const [edit, end] = await Promise.all([patch(id, { title: 'New' }), act(id, 'end')]);
      expect(end.statusCode, end.body).toBe(200);
      expect([200, 409]).toContain(edit.statusCode);
      const { title, state, version } = await stored(id);
      expect(state).toBe('ended');
      expect(await laneOf(id)).toMatchObject({ version, phase: 'ended', drop: { title } });
    }
  });

  test('that a crash kept from the lane is taken there by the sweep, whole', async () => {
    const { id } = await published();
    beforePublish = async () => Promise.reject(new Error('the process ends here'));
    expect(
      (await patch(id, { title: 'New', items: [{ ...phone, allotment: 3 }] })).statusCode,
    ).toBe(500);
    expect((await laneOf(id)).drop?.title).toBe('Noon');
    beforePublish = async () => {};
    await engine.services.publishing.sync();
    const lane = await laneOf(id);
    expect(lane).toMatchObject({ drop: { title: 'New' }, items: [{ allotment: 3, available: 3 }] });
    expect(await edited(id, { title: 'Newer' })).toMatchObject({ title: 'Newer' });
  });

  test('is one of many at once, each whole, and the last one written is what lane and ledger have', async () => {
    const { id } = await published();
    const edits = Array.from({ length: 8 }, (_, n) => {
      return patch(id, { title: `T${n}`, items: [{ ...phone, unitAmount: 1_000 + n }] });
    });
    for (const answer of await Promise.all(edits)) expect(answer.statusCode, answer.body).toBe(200);
    const last = await stored(id);
    const lane = await laneOf(id);
    expect(lane).toMatchObject({
      version: last.version,
      drop: { title: last.title, items: last.items },
    });
    expect(`T${(last.items[0]?.unitAmount ?? 0) - 1_000}`).toBe(last.title);
  });
});

describe('If-Match', () => {
  test('lets one of two edits of the same revision through, and tells the other the new revision', async () => {
    for (const { id, revision } of [await create(), await published()]) {
      const tag = { 'if-match': `"${revision}"` };
      const answers = await Promise.all([
        patch(id, { title: 'A' }, tag),
        patch(id, { title: 'B' }, tag),
      ]);
      expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, 412]);
      const [done, refused] = answers[0].statusCode === 200 ? answers : [...answers].reverse();
      expect(done?.headers.etag).toBe(`"${done?.json().revision}"`);
      expect(refused?.json()).toMatchObject({ code: 'drop_changed', revision: revision + 1 });
      expect((await stored(id)).title).toBe(done?.json().title);
    }
  });

  test.for([
    ['*', 200],
    ['"1"', 200],
    ['"7", "1"', 200],
    ['"2"', 412],
    ['W/"1"', 412],
    ['"one"', 412],
    ['1', 400],
    ['"1', 400],
    ['', 400],
  ] as const)('with %s answers %i to an edit of the first revision', async ([header, status]) => {
    const { id } = await create();
    expect((await patch(id, { title: 'New' }, { 'if-match': header })).statusCode).toBe(status);
  });
});

describe('A duplicate', () => {
  test('is a fresh draft with the definition of the drop, whatever became of that', async () => {
    const metadata = { season: '3' };
    const source = await published({ metadata, items: [{ ...phone, metadata }], holdMs: 9_000 });
    await act(source.id, 'cancel');
    const answer = await ask('POST', `/v1/drops/${source.id}/duplicate`);
    expect(answer.statusCode, answer.body).toBe(201);
    const copy = dropBody.parse(answer.json());
    expect(copy.id).not.toBe(source.id);
    const kept = { version: 0, revision: 1, decision: 'draft', state: 'draft' };
    expect(copy).toEqual({ ...source, ...kept, id: copy.id });
    expect((await act(copy.id, 'publish')).json()).toMatchObject({ state: 'scheduled' });
  });

  test('gets a window in the future at the same time of the day when that of the drop has begun', async () => {
    const source = await published({
      startsAt: inHours(0),
      endsAt: inHours(2),
      appointment: { until: inHours(1) },
    });
    const copy = (await ask('POST', `/v1/drops/${source.id}/duplicate`)).json();
    const dayMs = 86_400_000;
    expect(Date.parse(copy.startsAt) - Date.parse(source.startsAt)).toBe(dayMs);
    expect(Date.parse(copy.endsAt) - Date.parse(source.endsAt)).toBe(dayMs);
    expect((await act(copy.id, 'publish')).json()).toMatchObject({ state: 'scheduled' });
  });

  test('takes changes with it, and refuses wrong ones like an edit', async () => {
    const { id } = await published();
    const payload = { title: 'Again', startsAt: inHours(5), endsAt: inHours(6) };
    const copy = await ask('POST', `/v1/drops/${id}/duplicate`, { payload });
    expect(copy.json()).toMatchObject(payload);
    const wrong = await ask('POST', `/v1/drops/${id}/duplicate`, { payload: { title: '' } });
    expect(wrong.json().errors[0].field).toBe('title');
  });
});

test.for(['PATCH', 'DELETE', 'POST'] as const)(
  "%s of another merchant's drop is 404",
  async (method) => {
    const { id } = await create();
    const url = `/v1/drops/${id}${method === 'POST' ? '/duplicate' : ''}`;
    const payload = method === 'PATCH' ? { payload: { title: 'New' } } : {};
    const answer = await ask(method, url, { as: await engine.merchant(), ...payload });
    expect(answer.statusCode).toBe(404);
    expect(answer.json().code).toBe('unknown_drop');
  },
);
