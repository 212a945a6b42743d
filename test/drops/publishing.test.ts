import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf } from '../../src/ledger/drop-edits.ts';
import { openStage, type Stage } from '../settlement/stage.ts';
import { aDrop } from '../support/drops.ts';
import { sharedRedisUrl } from '../support/redis.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

async function aDraft(overrides: Parameters<typeof aDrop>[0] = {}) {
  const { merchant } = await stage.ledger.merchants.create({ name: 'store' });
  const fresh = { version: 0, decision: 'draft' as const };
  const draft = aDrop({ merchantId: merchant.id, ...fresh, ...overrides });
  await stage.ledger.drops.create(draft);
  const act = (action: 'publish' | 'pause' | 'resume' | 'end' | 'cancel') =>
    stage.desk.publishing.act({ merchantId: merchant.id, drop: draft.id, action });
  const phase = async (lane = 0) => (await stage.figures({ drop: draft.id, lane })).phase;
  return { draft, act, phase };
}

test("The lanes follow the merchant's actions, and repeating an action changes nothing", async () => {
  const { act, phase } = await aDraft({ lanes: 3 });
  for (const [action, expected] of [
    ['publish', 'live'],
    ['publish', 'live'],
    ['pause', 'paused'],
    ['resume', 'live'],
    ['end', 'ended'],
  ] as const) {
    expect(await act(action)).toMatchObject({ kind: 'done' });
    for (const lane of [0, 1, 2]) expect(await phase(lane)).toBe(expected);
  }
  expect(await act('resume')).toMatchObject({ kind: 'refused' });
  expect(await act('cancel')).toMatchObject({ kind: 'refused' });
});

test("A merchant cannot act on another merchant's drop", async () => {
  const { draft } = await aDraft();
  const { merchant } = await stage.ledger.merchants.create({ name: 'another' });
  const request = { merchantId: merchant.id, drop: draft.id, action: 'publish' as const };
  expect(await stage.desk.publishing.act(request)).toEqual({ kind: 'unknown' });
});

test('A drop whose window is over is not published', async () => {
  const now = Date.now();
  const { act } = await aDraft({ startsAt: now - 2_000, endsAt: now - 1_000 });
  expect(await act('publish')).toMatchObject({ kind: 'refused' });
});

test('A decision that a crash kept from the lanes reaches them by the next sync', async () => {
  const { draft, phase } = await aDraft();
  await stage.ledger.drops.change(draft.id, () => ({ decision: 'live' }));
  await stage.desk.publishing.sync();
  expect(await phase()).toBe('live');
  expect(await stage.ledger.drops.unsynced()).toEqual([]);
});

test('A lane that has lost its data never gets its stock a second time', async () => {
  const { draft, act } = await aDraft();
  await act('publish');
  const ref = { drop: draft.id, lane: 0 };
  await stage.redis.del(stage.key(ref, 'rules'), stage.key(ref, 'stock'));
  // What stops a sale can be decided of a lost lane, too; what starts one cannot.
  expect(await act('pause')).toMatchObject({ kind: 'done', drop: { decision: 'paused' } });
  expect(await act('resume')).toEqual({ kind: 'frozen' });
  await stage.desk.publishing.sync();
  expect((await stage.lanes.inspect(ref)).status).toBe('missing');
  expect(await act('end')).toMatchObject({ kind: 'done', drop: { decision: 'ended' } });
  await stage.ledger.drops.markLanes(draft.id, 4);
});

test('A cancelled draft leaves nothing in the lanes', async () => {
  const { draft, act } = await aDraft();
  expect(await act('cancel')).toMatchObject({ kind: 'done' });
  expect(await stage.lanes.inspect({ drop: draft.id, lane: 0 })).toMatchObject({
    status: 'missing',
  });
  expect(await stage.ledger.drops.unsynced()).toEqual([]);
});

test.for(['opening', 'adjustment'] as const)(
  'An edit that the lane took stays in ledger and lane when the next decision comes after the %s, before the ledger knew',
  async (between) => {
    const { draft, act } = await aDraft({ startsAt: Date.now() + 3_600_000 });
    await act('publish');
    const { drops, dropEdits: edits } = stage.ledger;
    const items = draft.items.map((item) => ({ ...item, unitAmount: 500, allotment: 20 }));
    const startsAt = between === 'opening' ? Date.now() - 1_000 : draft.startsAt;
    const edited = await edits.edit(draft.id, (drop) => {
      return { ...definitionOf(drop), startsAt, items };
    });
    if (!edited) throw new Error('the drop is not there');
    // The process ends after the lane's answer: `sync` and the pause find the edit pending.
    const edit = { changes: 'stock' as const, version: edited.drop.version };
    expect(await stage.lanes.publish(edited.drop, 0, false, edit)).toBe('published');
    const ref = { drop: draft.id, lane: 0 };
    if (between === 'adjustment') {
      const more = { id: 'more', item: 0, delta: 5, reason: 'more' };
      expect(await stage.lanes.adjust(ref, more)).toMatchObject({ status: 'adjusted' });
    }
    expect(await act('pause')).toMatchObject({ kind: 'done', drop: { version: 3, items } });
    expect(await drops.get(draft.id)).toMatchObject({
      version: 3,
      lanesVersion: 3,
      startsAt,
      items,
    });
    expect(await edits.stateOf(draft.id, edit.version)).toBe('applied');
    expect(await stage.lanes.readDrop(ref)).toMatchObject({ version: 3, startsAt, items });
    const allotment = between === 'adjustment' ? 25 : 20;
    expect(await stage.figures(ref)).toMatchObject({ phase: 'paused', items: [{ allotment }] });
  },
);
