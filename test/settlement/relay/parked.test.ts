import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DropId, orderId, orderRef, placeOf } from '../../../src/domain/ids.ts';
import { packDetails } from '../../../src/domain/order-details.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { openStage, type Stage } from '../stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

test('A change that the ledger refuses is parked and counted, and its neighbours and other lanes go on', async () => {
  const [drop, other] = [await stage.publish(), await stage.publish()];
  const outbox = stage.key({ drop: drop.id, lane: 0 }, 'outbox');
  const at = Date.now();
  const record = (buyer: string, quantity: number) =>
    `r|0|${quantity}|100|${at + 60_000}|1|wallet||${buyer}`;
  const good = orderRef(drop.id, 'good', 'k', 1);
  const digest = (letter: string) => letter.repeat(22);
  // In one entry: text that SQL does not take, units below 1, a number too large, no record, and one
  // order that is sound.
  await stage.redis.xadd(
    outbox,
    '*',
    ...['at', at, digest('a'), record('nul\0byte', 1), digest('b'), record('none', 0)],
    ...[digest('c'), record('large', 99_999_999_999), good.digest, record('good', 1)],
    ...[digest('d'), 'no record', 'adjust:x', '0|NaN|bad', 'short', record('no digest', 1)],
  );
  await stage.redis.xadd(outbox, '*', 'no', 'time', digest('e'), record('untimed', 1));
  // A time that is none costs the order nothing.
  const times = ['1.5', '1e30', 'Infinity', 'noon'];
  const timed = times.map((_, n) => orderRef(drop.id, `timed-${n}`, 'k', 1));
  for (const [n, { digest }] of timed.entries()) {
    await stage.redis.xadd(outbox, '*', 'at', times[n] ?? '', digest, record(`timed-${n}`, 1));
  }
  const settlement = stage.settlement();
  await settlement.start();
  const [next] = await stage.reserve(drop, ['behind it']);
  const [beside] = await stage.reserve(other, ['in another lane']);
  await stage.reaches(next, 'paid');
  await stage.reaches(beside, 'paid');
  const id = orderId(good);
  expect(await stage.ledger.orders.get(id)).toMatchObject({ buyer: 'good', state: 'reserved' });
  for (const ref of timed) {
    expect(await stage.ledger.orders.get(orderId(ref))).toMatchObject({ state: 'reserved' });
  }
  const { relay } = settlement.background();
  await eventually(async () => (await relay.backlog()) === 0);
  expect(await stage.ledger.parkedChanges.count()).toBe(7);
  expect(relay.counts()).toMatchObject({ parked: 7, malformed: 4 });
  const told = stage.logged.filter(({ msg }) =>
    msg.startsWith('change of an outbox entry is parked'),
  );
  expect(told).toHaveLength(7);
  expect(told[0]).toMatchObject({ drop: drop.id, lane: 0 });
  await settlement.stop();
});

test('A parked change is recorded and its order settled once the ledger takes it', async () => {
  const drop = await stage.publish();
  const { database, parkedChanges } = stage.ledger;
  await database.query("alter table orders add constraint picky check (buyer <> 'refused')");
  const settlement = stage.settlement();
  await settlement.start();
  const before = await parkedChanges.count();
  const [id] = await stage.reserve(drop, ['refused']);
  await eventually(async () => (await parkedChanges.count()) > before);
  expect(await stage.ledger.orders.get(id)).toBeUndefined();
  await database.query('alter table orders drop constraint picky');
  await database.query('update parked_changes set retry_at = 0');
  await stage.reaches(id, 'paid');
  await eventually(async () => (await parkedChanges.count()) === before);
  await settlement.stop();
});

test('An order whose details cannot be read is parked and named in the log, its neighbours and other lanes go on, and it is settled once they can be read', async () => {
  const [drop, broken, sound] = [
    await stage.publish(),
    await stage.publish(),
    await stage.publish(),
  ];
  const { database, parkedChanges } = stage.ledger;
  const before = await parkedChanges.count();
  const told = packDetails({ fields: { phone: '13800138000' } });
  const buyers = ['no json', 'a number', 'a list', 'numbers in it', 'good'];
  const texts = ['{"fields":', '7', '[]', '{"fields":{"phone":13800138000}}', told?.text ?? ''];
  const ids = await stage.reserve(drop, buyers, { details: told });
  const [elsewhere] = await stage.reserve(broken, ['in a broken lane'], { details: told });
  const [plain] = await stage.reserve(broken, ['without details']);
  const [beside] = await stage.reserve(sound, ['in a sound lane'], { details: told });
  const detailsOf = (ref: { id: DropId }) => stage.key({ drop: ref.id, lane: 0 }, 'details');
  for (const [n, id] of ids.entries()) {
    await stage.redis.hset(detailsOf(drop), placeOf(id).digest, texts[n] ?? '');
  }
  await stage.redis.rename(detailsOf(broken), `${detailsOf(broken)}:kept`);
  await stage.redis.set(detailsOf(broken), 'no hash');
  const settlement = stage.settlement();
  await settlement.start();
  const [good = elsewhere, ...parked] = [...ids].reverse();
  for (const id of [good, plain, beside]) await stage.reaches(id, 'paid');
  expect(await parkedChanges.count()).toBe(before + parked.length + 1);
  expect(settlement.background().relay.counts().parked).toBe(parked.length + 1);
  for (const id of [...parked, elsewhere]) {
    expect(stage.logged).toContainEqual(
      expect.objectContaining({
        order: id,
        msg: expect.stringContaining('outbox entry is parked'),
      }),
    );
    expect(await settlement.orders.peek(id)).toMatchObject({ state: 'reserved' });
  }
  // A parked change that is no JSON itself does not keep the others from being tried again.
  await database.query(
    `insert into parked_changes (drop_id, lane, entry, place, at, change, error, parked_at, retry_at)
     values ($1, 0, '1-1', 2, 1, 'no json', '', 0, 0)`,
    [drop.id],
  );
  for (const id of parked) {
    await stage.redis.hset(detailsOf(drop), placeOf(id).digest, told?.text ?? '');
  }
  await database.query('update parked_changes set retry_at = 0');
  for (const id of parked) await stage.reaches(id, 'paid');
  expect((await stage.ledger.orders.get(good))?.details).toEqual({
    fields: { phone: '13800138000' },
  });
  expect(await stage.inLane(elsewhere)).toMatchObject({ state: 'reserved' });
  await stage.redis.rename(`${detailsOf(broken)}:kept`, detailsOf(broken));
  await database.query('update parked_changes set retry_at = 0');
  await stage.reaches(elsewhere, 'paid');
  await settlement.stop();
});

test('Later changes of an order whose details cannot be read are parked with it, and the ledger never has it without them', async () => {
  const drop = await stage.publish();
  const { database, parkedChanges, orders } = stage.ledger;
  const before = await parkedChanges.count();
  const told = packDetails({ fields: { phone: '13800138000' } });
  const [id] = await stage.reserve(drop, ['paid without an address'], { details: told });
  const place = placeOf(id);
  const details = stage.key({ drop: drop.id, lane: 0 }, 'details');
  await stage.redis.hset(details, place.digest, 'no json');
  const settlement = stage.settlement();
  await settlement.start();
  await eventually(async () => (await parkedChanges.count()) === before + 1);
  await stage.lanes.confirm(place, [place.digest]);
  const { relay } = settlement.background();
  await eventually(async () => (await relay.backlog()) === 0);
  expect(await orders.get(id)).toBeUndefined();
  expect(await parkedChanges.count()).toBe(before + 2);
  await stage.redis.hset(details, place.digest, told?.text ?? '');
  await database.query('update parked_changes set retry_at = 0');
  await stage.reaches(id, 'paid');
  await eventually(async () => (await parkedChanges.count()) === before);
  const recorded = await orders.get(id);
  expect(recorded?.details).toEqual({ fields: { phone: '13800138000' } });
  await settlement.stop();
});

test('A lane whose outbox is broken does not stop the relay for the other lanes', async () => {
  const [broken, sound] = [await stage.publish(), await stage.publish()];
  await stage.redis.set(stage.key({ drop: broken.id, lane: 0 }, 'outbox'), 'no stream');
  const settlement = stage.settlement();
  await settlement.start();
  const [id] = await stage.reserve(sound, ['elsewhere']);
  await stage.reaches(id, 'paid');
  expect(settlement.background().relay.counts().broken_lane).toBeGreaterThan(0);
  await settlement.stop();
  await stage.redis.del(stage.key({ drop: broken.id, lane: 0 }, 'outbox'));
});
