import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCursor } from '../../src/ledger/cursor.ts';
import { conditionOf } from '../../src/ledger/order-filter.ts';
import { openOrders } from '../../src/ledger/orders.ts';
import { onEachLedger } from '../support/ledgers.ts';
import { testSeed } from '../support/seed.ts';
import { createDrop, orderOf } from './samples.ts';

onEachLedger((ledger) => {
  describe('Orders', () => {
    it('A search reads the orders that have the text, not every order of the drop, and none of another drop', async () => {
      const [drop, other] = [await createDrop(ledger()), await createDrop(ledger())];
      const { database, orders } = ledger();
      for (const of of [drop, other]) {
        await orders.upsert(
          Array.from({ length: 500 }, (_, n) => {
            const metadata = { cart: `c-${n}`, source: 'app' };
            return { order: orderOf(of), at: 1_000 + n, details: { metadata, fields: { n: 'x' } } };
          }),
        );
      }
      await database.query('analyze orders');
      const { sql, params } = conditionOf(drop.id, { q: 'c-7' }, 1);
      const plan = await database.query<{ 'QUERY PLAN': string }>(
        `explain (analyze, costs off, timing off, summary off) select o.id from orders o where ${sql}`,
        params,
      );
      const lines = plan.map((line) => line['QUERY PLAN']).join('\n');
      const read = [...lines.matchAll(/(?:actual rows=|Rows Removed by \w+(?: \w+)*: )(\d+)/g)];
      expect(read.length, lines).toBeGreaterThan(0);
      for (const [, rows] of read) expect(Number(rows), lines).toBeLessThan(5);
      const found = await orders.page({ drop: drop.id, filter: { q: 'c-7' }, limit: 10 });
      expect(found.rows).toMatchObject([{ drop: drop.id, details: { metadata: { cart: 'c-7' } } }]);
      const all = await orders.page({ drop: drop.id, filter: { q: 'app' }, limit: 1_000 });
      expect(all.rows).toHaveLength(500);
    });

    it('An export of what a search finds searches once, not for each page', async () => {
      const drop = await createDrop(ledger());
      const { database } = ledger();
      const details = { metadata: { source: 'app' } };
      const events = Array.from({ length: 25 }, (_, n) => ({
        order: orderOf(drop),
        at: 100 + Math.floor(n / 10),
        details,
      }));
      await ledger().orders.upsert([...events, { order: orderOf(drop), at: 100 }]);
      const searches: string[] = [];
      const orders = openOrders({
        ...database,
        query(sql, params) {
          if (sql.includes('metadata_keys')) searches.push(sql);
          return database.query(sql, params);
        },
      });
      const exported: string[] = [];
      for await (const { id } of orders.stream(drop.id, { q: 'app' }, 7)) exported.push(id);
      const { rows } = await orders.page({ drop: drop.id, filter: { q: 'app' }, limit: 100 });
      expect(rows).toHaveLength(25);
      expect(exported).toEqual(rows.map(({ id }) => id));
      expect(searches).toHaveLength(2); // the export's and the list's
    });

    it('Orders keep the latest view and the first time of each state, in whatever order events arrive', async () => {
      const drop = await createDrop(ledger());
      const seed = testSeed('orders in any order');
      // A late capture: reserved, released, taken again, refunded.
      const story = (['reserved', 'released', 'paid', 'refunded'] as const).map((state, index) => ({
        state,
        at: 1_000 + index,
        version: index + 1,
      }));
      const arrivals = fc.array(fc.nat(3), { minLength: 0, maxLength: 6 }).chain((repeats) =>
        fc.tuple(
          fc.shuffledSubarray([0, 1, 2, 3, ...repeats.map((index) => index)], {
            minLength: 4 + repeats.length,
          }),
          fc.integer({ min: 1, max: 5 }),
        ),
      );
      await fc.assert(
        fc.asyncProperty(arrivals, async ([indexes, batchSize]) => {
          const order = orderOf(drop);
          const events = indexes.map((index) => {
            const { state, at, version } = story[index] as (typeof story)[number];
            const reason = state === 'released' ? ('expired' as const) : ('' as const);
            return { order: { ...order, state, version, reason }, at };
          });
          for (let start = 0; start < events.length; start += batchSize) {
            await ledger().orders.upsert(events.slice(start, start + batchSize));
          }
          expect(await ledger().orders.get(order.id)).toEqual({
            ...order,
            state: 'refunded',
            version: 4,
            lane: 0,
            reservedAt: 1_000,
            releasedAt: 1_001,
            paidAt: 1_002,
            refundedAt: 1_003,
            details: null,
          });
        }),
        { seed, numRuns: 40 },
      );
    });

    it('Two relays write the same batch in opposite orders without deadlock or loss', async () => {
      const drop = await createDrop(ledger());
      const events = Array.from({ length: 200 }, () => ({ order: orderOf(drop), at: 5 }));
      await Promise.all(
        Array.from({ length: 8 }, (_, relay) =>
          ledger().orders.upsert(relay % 2 ? events : events.toReversed()),
        ),
      );
      expect(await ledger().orders.counts(drop.id)).toMatchObject({ reserved: 200 });
    });

    it('Each order is paged and exported once, oldest first', async () => {
      const drop = await createDrop(ledger());
      const events = Array.from({ length: 25 }, (_, n) => ({
        order: orderOf(drop),
        at: 100 + Math.floor(n / 10), // many share an instant
      }));
      await ledger().orders.upsert(events);
      const first = await ledger().orders.page({ drop: drop.id, limit: 20 });
      const second = await ledger().orders.page({ drop: drop.id, cursor: first.next, limit: 20 });
      expect(first.rows).toHaveLength(20);
      expect(second).toMatchObject({ rows: { length: 5 } });
      expect(second.next).toBeUndefined();
      const exported: string[] = [];
      for await (const order of ledger().orders.stream(drop.id, {}, 7)) exported.push(order.id);
      expect(exported).toEqual([...first.rows, ...second.rows].map((order) => order.id));
      expect(new Set(exported)).toEqual(new Set(events.map(({ order }) => order.id)));
    });

    it('Orders that stay reserved are found again, and no others', async () => {
      const drop = await createDrop(ledger());
      const [old, young, done] = [orderOf(drop), orderOf(drop), orderOf(drop)];
      await ledger().orders.upsert([
        { order: old, at: 10 },
        { order: young, at: 20 },
        { order: { ...done, state: 'paid', version: 2 }, at: 10 },
      ]);
      const stuck = await ledger().orders.stuck({ reservedBefore: 20, limit: 1_000 });
      expect(stuck.filter((order) => order.drop === drop.id).map((order) => order.id)).toEqual([
        old.id,
      ]);
      const after = stuck.at(-1);
      expect(await ledger().orders.stuck({ reservedBefore: 20, after, limit: 10 })).toEqual([]);
    });

    it('Orders keep text of any kind unchanged', async () => {
      const drop = await createDrop(ledger());
      const order = orderOf(drop, { buyer: `O'Neil "\\{},👍\n'; drop table orders; --` });
      await ledger().orders.upsert([{ order, at: 1 }]);
      expect(await ledger().orders.get(order.id)).toMatchObject(order);
    });
  });

  it('A stock edit is recorded once for each lane', async () => {
    const drop = await createDrop(ledger());
    const edit = { id: 'edit-1', drop: drop.id, lane: 0, item: 0, delta: 5, reason: 'more', at: 1 };
    await ledger().orders.upsert([], { adjustments: [edit, edit] });
    await ledger().orders.upsert([], { adjustments: [edit, { ...edit, lane: 1, delta: 2 }] });
    expect(await ledger().orders.adjustments(drop.id)).toHaveLength(2);
    expect(await ledger().audit.items(drop.id)).toMatchObject([
      { sku: 'phone', allotment: 50, adjusted: 57 },
      { sku: 'case', allotment: 10, adjusted: 10 },
    ]);
  });

  it('The position of an outbox only moves forward', async () => {
    const drop = await createDrop(ledger());
    for (const last of ['100-9', '100-10', '99-99', '100-2']) {
      await ledger().orders.upsert([], { positions: [{ drop: drop.id, lane: 3, last }] });
    }
    expect(await ledger().orders.positions(drop.id)).toEqual([
      { drop: drop.id, lane: 3, last: '100-10' },
    ]);
  });

  it('A batch that fails writes nothing', async () => {
    const drop = await createDrop(ledger());
    const good = orderOf(drop);
    const bad = orderOf(drop, { quantity: 0 });
    const position = { drop: drop.id, lane: 0, last: '1-1' };
    await expect(
      ledger().orders.upsert(
        [good, bad].map((order) => ({ order, at: 1 })),
        { positions: [position] },
      ),
    ).rejects.toThrow(/orders_quantity_check/);
    expect(await ledger().orders.get(good.id)).toBeUndefined();
    expect(await ledger().orders.positions(drop.id)).toEqual([]);
  });
});

it('A cursor that is not ours is recognised', () => {
  for (const text of ['', 'x', '////', Buffer.from('1.a\nb').toString('base64url')]) {
    expect(decodeCursor(text)).toBeUndefined();
  }
});
