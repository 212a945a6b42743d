import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditSale } from '../../loadtest/auditor/auditor.ts';
import type { BookLine } from '../../loadtest/auditor/book.ts';
import { linesIn } from '../../loadtest/auditor/clients.ts';
import { type Merchant, openMerchant, unitAmount } from '../../loadtest/merchant.ts';
import type { Verdict } from '../../loadtest/record/record.ts';
import type { MerchantId } from '../../src/domain/ids.ts';
import { laneKey } from '../../src/inventory/keys.ts';
import { startTestEngine, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { aDropId } from '../support/ids.ts';
import { sharedRedisUrl } from '../support/redis.ts';

let engine: TestEngine;
let address: string;
let redis: Redis;
let folder: string;
beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), settings: { demo: true } });
  address = await engine.serve();
  redis = new Redis(sharedRedisUrl());
  folder = mkdtempSync(join(tmpdir(), 'flashdrop-auditor-'));
});
afterAll(async () => {
  redis?.disconnect();
  rmSync(folder, { recursive: true, force: true });
  await engine?.stop();
});

let crowds = 0;

type Sale = {
  drop: string;
  merchant: Merchant;
  merchantId: MerchantId;
  prefix: string;
  lines: BookLine[];
  order(n: number): string;
  stockKey: string;
};

/** Buyers press once each; their book is written; `before` may plant something before they do. */
async function aSale(
  options: { units: number; buyers: number; prefix?: string; byAppointment?: boolean },
  before?: (sale: Sale) => Promise<unknown>,
): Promise<Sale> {
  const { id: merchantId, apiKey } = await engine.merchant();
  const merchant = openMerchant({ address, merchantKey: apiKey });
  const { units, byAppointment = false } = options;
  const startsAt = Date.now() + (byAppointment ? 1_500 : 0);
  const drop = await merchant.openDrop({ sku: 'phone', units, byAppointment, startsAt });
  crowds += 1;
  const lines: BookLine[] = [];
  const sale: Sale = {
    drop,
    merchant,
    merchantId,
    prefix: options.prefix ?? `c${crowds}-`,
    lines,
    order: (n) => JSON.parse((lines[n] as Extract<BookLine, { kind: 'ack' }>).body).id,
    stockKey: laneKey(engine.namespace, { drop: aDropId(drop), lane: 0 }, 'stock'),
  };
  await before?.(sale);
  await eventually(() => Date.now() > startsAt);
  for (let n = 0; n < options.buyers; n += 1) {
    const buyer = `${sale.prefix}${n}`;
    await engine.fund(buyer);
    const answer = await engine.app.inject({
      method: 'POST',
      url: `/v1/drops/${drop}/orders`,
      headers: { ...engine.buyer(buyer), 'idempotency-key': 'k' },
      payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
    });
    const base = { at: Date.now(), buyer, key: 'k' };
    if (answer.statusCode === 202) {
      lines.push({ ...base, kind: 'ack', replayed: false, body: answer.body });
    }
  }
  await eventually(async () => (await merchant.unsettled(drop)) === 0);
  return sale;
}

function judge(sale: Sale, units: number, uninvited?: string): Promise<Verdict> {
  const file = join(folder, `${sale.drop}.ndjson`);
  writeFileSync(file, sale.lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const crowd = [
    { prefix: sale.prefix, count: 100 },
    ...(uninvited === undefined ? [] : [{ prefix: uninvited, count: 100, uninvited: true }]),
  ];
  return auditSale({
    head: {
      drop: sale.drop,
      items: [{ sku: 'phone', units, unitAmount, perBuyer: 1 }],
      crowds: crowd,
    },
    lines: linesIn([file]),
    sources: sale.merchant,
  });
}

/** The points that do not hold. */
function broken(verdict: Verdict): string[] {
  return verdict.points.filter(({ ok }) => !ok).map(({ point }) => point);
}

test('a sale in which nothing went wrong is found clean, with its figures', async () => {
  const verdict = await judge(await aSale({ units: 3, buyers: 5 }), 3);
  expect(verdict).toMatchObject({ clean: true, breaches: [] });
  expect(verdict.points.map(({ point }) => point).join('')).toBe('ABCDEFaudit');
  expect(verdict.points[0]?.figures).toMatchObject({ units: 3, sold: 3, paid: 3 });
});

test('a planted oversell is caught, and an order too many is named', async () => {
  const sale = await aSale({ units: 2, buyers: 4 }, ({ stockKey }) => {
    return redis.hincrby(stockKey, 'available:0', 2);
  });
  const verdict = await judge(sale, 2);
  expect(broken(verdict)).toContain('A');
  const breach = verdict.breaches.find(({ point, order }) => point === 'A' && order);
  expect(breach).toMatchObject({ promise: 1, text: '4 units are paid of 2' });
  expect(breach?.order).toMatch(/^ord_/);
});

test('a planted double capture is caught in the wallet, and its order is named', async () => {
  const sale = await aSale({ units: 2, buyers: 2 });
  const buyer = `${sale.prefix}0`;
  const refs = [
    { kind: 'buyer' as const, owner: buyer, currency: 'CNY' },
    { kind: 'merchant' as const, owner: sale.merchantId, currency: 'CNY' },
  ];
  await engine.ledger.database.transaction(async (query) => {
    const locked = await engine.ledger.accounts.lock(query, refs);
    const [debit = 0, credit = 0] = refs.map((ref) => locked(ref).id);
    await engine.ledger.accounts.post(query, [
      { kind: 'capture', reference: `${buyer} again`, debit, credit, amount: unitAmount } as never,
    ]);
  });
  const verdict = await judge(sale, 2);
  expect(broken(verdict)).toContain('C');
  const breach = verdict.breaches.find(({ point }) => point === 'C');
  expect(breach).toMatchObject({ promise: 4, order: sale.order(0) });
});

test('an order of a buyer who had no appointment is caught, whatever became of it', async () => {
  const sale = await aSale({ units: 3, buyers: 2 });
  const prefix = `not-${sale.prefix}`;
  expect((await judge(sale, 3, prefix)).breaches).toEqual([]);
  const id = sale.order(1);
  const { database } = engine.ledger;
  for (const state of ['paid', 'released']) {
    const changed = [id, `${prefix}0`, state];
    await database.query('update orders set buyer = $2, state = $3 where id = $1', changed);
    const verdict = await judge(sale, 3, prefix);
    const limits = verdict.breaches.filter(({ point }) => point === 'D');
    expect(limits).toEqual([expect.objectContaining({ promise: 7, order: id })]);
  }
});

test('a sale by appointment sells to the buyers of its list alone, and is found clean', async () => {
  const sale = await aSale(
    { units: 5, buyers: 4, byAppointment: true },
    ({ merchant, drop, prefix }) => {
      return merchant.importBuyers(drop, [`"${prefix}0"\n"${prefix}`, `2"\n"absent-0"\n`]);
    },
  );
  expect(sale.lines.map(({ buyer }) => buyer)).toEqual([`${sale.prefix}0`, `${sale.prefix}2`]);
  expect((await judge(sale, 5)).breaches).toEqual([]);
  expect(await sale.merchant.audit(sale.drop)).toMatchObject({ clean: true });
});

test('a planted lost order is caught, and named', async () => {
  const sale = await aSale({ units: 3, buyers: 2 });
  const lost = sale.order(1);
  await engine.ledger.database.query('delete from orders where id = $1', [lost]);
  const verdict = await judge(sale, 3);
  expect(broken(verdict)).toContain('E');
  const breach = verdict.breaches.find(({ point }) => point === 'E');
  expect(breach).toMatchObject({ promise: 2, order: lost });
});

test('an order that nobody was told of is caught', async () => {
  const sale = await aSale({ units: 3, buyers: 2 });
  const untold = sale.order(1);
  sale.lines.pop();
  const verdict = await judge(sale, 3);
  expect(broken(verdict)).toEqual(['E']);
  expect(verdict.breaches[0]).toMatchObject({ promise: 2, order: untold });
  const { buyer, key } = { buyer: `${sale.prefix}1`, key: 'k' };
  sale.lines.push({ kind: 'unknown', at: Date.now(), buyer, key });
  expect(broken(await judge(sale, 3))).toEqual([]);
});

test('other bytes under the same key, and a refusal after a 202, are caught', async () => {
  const sale = await aSale({ units: 3, buyers: 1 });
  const first = sale.lines[0] as Extract<BookLine, { kind: 'ack' }>;
  const { buyer, key, at } = first;
  sale.lines.push({ ...first, replayed: true, body: first.body.replace('199900', '199901') });
  sale.lines.push({ kind: 'refused_after_ack', at, buyer, key, code: 'sold_out' });
  const verdict = await judge(sale, 3);
  expect(broken(verdict)).toEqual(['F']);
  expect(verdict.breaches).toHaveLength(2);
  for (const breach of verdict.breaches) {
    expect(breach).toMatchObject({ promise: 3, order: sale.order(0) });
  }
});

test('an order seen paid that is released, and a buyer above the limit, are caught', async () => {
  const sale = await aSale({ units: 3, buyers: 2 });
  const [first, second] = [sale.order(0), sale.order(1)];
  const { database } = engine.ledger;
  await database.query("update orders set state = 'released' where id = $1", [first]);
  await database.query('update orders set buyer = $2 where id = $1', [second, `${sale.prefix}0`]);
  const at = Date.now();
  sale.lines.push({ kind: 'seen', at, buyer: `${sale.prefix}0`, order: first, state: 'paid' });
  const ends = (await judge(sale, 3)).breaches.filter(({ point }) => point === 'B');
  expect(ends).toEqual([expect.objectContaining({ promise: 5, order: first })]);
  await database.query("update orders set state = 'paid' where id = $1", [first]);
  const limits = (await judge(sale, 3)).breaches.filter(({ point }) => point === 'D');
  expect(limits).toHaveLength(1);
  expect(limits[0]).toMatchObject({ promise: 7 });
});

test('A buyer who has more units of all items than the drop allows is caught, within the limit of each item or not', async () => {
  const sale = await aSale({ units: 3, buyers: 2 });
  const both = [sale.order(0), sale.order(1)];
  const { database } = engine.ledger;
  await database.query('update orders set buyer = $2 where id = $1', [both[1], `${sale.prefix}0`]);
  const sizes = ['phone', 'case'].map((sku) => ({ sku, units: 3, unitAmount, perBuyer: 2 }));
  const head = { drop: sale.drop, items: sizes, crowds: [{ prefix: sale.prefix, count: 100 }] };
  const over = async (perBuyer: number | undefined) => {
    const { lines, merchant: sources } = sale;
    const verdict = await auditSale({ head: { ...head, perBuyer }, lines, sources });
    return verdict.breaches.filter(({ point }) => point === 'D');
  };
  expect(await over(undefined)).toEqual([]);
  expect(await over(2)).toEqual([]);
  const text = expect.stringContaining('2 units of all items, 1 allowed');
  expect(await over(1)).toEqual([expect.objectContaining({ promise: 7, text })]);
});

test('one order under two keys, an unmarked replay, and a sight that a later one hides, are caught', async () => {
  const sale = await aSale({ units: 3, buyers: 1 });
  const first = sale.lines[0] as Extract<BookLine, { kind: 'ack' }>;
  const order = sale.order(0);
  const added = async (...lines: BookLine[]) => {
    const verdict = await judge({ ...sale, lines: [first, ...lines] }, 3);
    return verdict.breaches.filter(({ point }) => point !== 'audit');
  };
  expect(await added({ ...first, replayed: true })).toEqual([]);
  const f = expect.objectContaining({ point: 'F', promise: 3, order });
  expect(await added({ ...first, key: 'k2' })).toEqual([f]);
  expect(await added({ ...first })).toEqual([f]);
  await engine.ledger.database.query("update orders set state = 'released' where id = $1", [order]);
  const { at, buyer } = first;
  const seen = (state: string): BookLine => ({ kind: 'seen', at, buyer, order, state });
  expect(await added(seen('paid'), seen('released'))).toContainEqual(
    expect.objectContaining({ point: 'B', promise: 5, order }),
  );
});

test('the same crowd at a second drop of the same engine is judged clean', async () => {
  const prefix = 'people0-';
  await aSale({ units: 3, buyers: 2, prefix });
  const verdict = await judge(await aSale({ units: 3, buyers: 2, prefix }), 3);
  expect(verdict.breaches).toEqual([]);
});

test('a released order that was captured is caught though its buyer has a paid one nobody charged', async () => {
  const sale = await aSale({ units: 3, buyers: 1 });
  const id = sale.order(0);
  const other = `${id.slice(0, -22)}${'A'.repeat(22)}`;
  const { database } = engine.ledger;
  await database.query(
    `insert into orders select (jsonb_populate_record(o, jsonb_build_object('id', $2::text))).*
     from orders o where id = $1`,
    [id, other],
  );
  await database.query("update orders set state = 'released' where id = $1", [id]);
  const verdict = await judge(sale, 3);
  expect(
    verdict.breaches
      .filter(({ point }) => point === 'C')
      .map(({ order }) => order)
      .sort(),
  ).toEqual([id, other].sort());
});

test('a list of orders that breaks off is an error, and not a shorter list', async () => {
  const breaking = createServer((_request, response) => {
    response.write('order,state,buyer,quantity\r\nord_1,paid,b-1,1\r\nord_2,pa', () => {
      response.destroy();
    });
  });
  await new Promise<void>((resolve) => breaking.listen(0, '127.0.0.1', resolve));
  const { port } = breaking.address() as AddressInfo;
  const merchant = openMerchant({ address: `http://127.0.0.1:${port}`, merchantKey: 'k' });
  const seen: string[] = [];
  const read = async () => {
    for await (const { id } of merchant.orders('drop_x')) seen.push(id);
  };
  await expect(read()).rejects.toThrow();
  expect(seen).toEqual(['ord_1']);
  breaking.close();
});
