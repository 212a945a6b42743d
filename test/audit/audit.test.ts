import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AuditReport } from '../../src/audit/audit.ts';
import type { Drop } from '../../src/domain/drop.ts';
import { newMerchantId, type OrderId } from '../../src/domain/ids.ts';
import { required } from '../../src/domain/required.ts';
import { paymentReference } from '../../src/ledger/payments/row.ts';
import { openStage, type Stage } from '../settlement/stage.ts';
import { aCharge } from '../support/charges.ts';
import { anItem } from '../support/drops.ts';
import { eventually } from '../support/eventually.ts';
import { aDropId, aReference } from '../support/ids.ts';
import { sharedRedisUrl } from '../support/redis.ts';

let stage: Stage;
let settlement: ReturnType<Stage['settlement']>;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
  settlement = stage.settlement();
  await settlement.start();
});
afterAll(() => stage.close());

let names = 0;
const buyers = (count: number) => Array.from({ length: count }, () => `buyer-${++names}`);
const price = anItem().unitAmount;

async function aSoldDrop(): Promise<{ drop: Drop; ids: OrderId[]; all: string[] }> {
  const drop = await stage.publish({ lanes: 2, items: [anItem({ allotment: 50 })] });
  const all = buyers(8);
  const ids = await stage.reserve(drop, all);
  const broke = await stage.reserve(drop, buyers(2), { fund: 0 });
  for (const id of ids) await stage.reaches(id, 'paid');
  for (const id of broke) await stage.reaches(id, 'released');
  await eventually(async () => (await settlement.background().relay.backlog()) === 0);
  return { drop, ids, all };
}

async function audited(drop: Drop): Promise<AuditReport> {
  const report = await stage.desk.audit(drop.id);
  if (!report) throw new Error('no such drop');
  return report;
}

const broken = (report: AuditReport) =>
  report.checks.filter((check) => !check.ok).map((check) => check.promise);

test('The audit of a sound drop is clean, and its figures show what was sold', async () => {
  const { drop } = await aSoldDrop();
  const report = await audited(drop);
  expect(report).toMatchObject({ clean: true, settled: true, backlog: 0 });
  expect(report.checks.map((check) => check.promise)).toEqual([1, 3, 4, 5, 7]);
  const [stock, orders, money, ends, limits] = report.checks.map((check) => check.figures);
  expect(stock).toMatchObject({ available: 42, held: 0, sold: 8, allotment: 50 });
  expect(orders).toMatchObject({ orders: 10, ordersInLanes: 10 });
  expect(money).toMatchObject({ paid: 8, kept: 8 * price, walletKept: 8 * price, trialBalance: 0 });
  expect(ends).toMatchObject({ reserved: 0 });
  expect(limits).toMatchObject({ buyers: 8, mostUnits: 1 });
});

test('An unknown drop has neither an audit nor a report', async () => {
  expect(await stage.desk.audit(aDropId())).toBeUndefined();
  expect(await stage.desk.report(aDropId())).toBeUndefined();
});

test('The audit finds an oversold item', async () => {
  const { drop } = await aSoldDrop();
  await stage.redis.hincrby(stage.key({ drop: drop.id, lane: 1 }, 'stock'), 'sold:0', 1);
  const report = await audited(drop);
  expect([report.clean, broken(report)]).toEqual([false, [1]]);
});

test('The audit finds units that are missing from the figures', async () => {
  const { drop } = await aSoldDrop();
  const stock = stage.key({ drop: drop.id, lane: 0 }, 'stock');
  await stage.redis.hincrby(stock, 'available:0', 3);
  await stage.redis.hincrby(stock, 'allotment:0', 3);
  expect(broken(await audited(drop))).toEqual([1]);
});

test('The audit finds a second capture of an order', async () => {
  const { drop, ids, all } = await aSoldDrop();
  const [orderId, buyer] = [required(ids[0], 'order'), required(all[0], 'buyer')];
  const charge = { orderId, amount: price, currency: 'CNY' };
  const reference = paymentReference(orderId, 2);
  await stage.ledger.payments.begin([{ ...charge, drop: drop.id, provider: 'wallet', attempt: 2 }]);
  await stage.wallet.start([aCharge({ ...charge, reference, buyer, merchantId: drop.merchantId })]);
  await stage.ledger.payments.record([{ reference, state: 'captured', amount: price }]);
  const report = await audited(drop);
  expect(broken(report)).toEqual([4]);
  expect(report.checks[2]?.findings.join()).toContain(orderId);
});

test('Partial refunds leave the audit clean, and it finds returned money that no refund explains', async () => {
  const { drop, ids } = await aSoldDrop();
  const [id, other] = [required(ids[0], 'order'), required(ids[1], 'order')];
  const merchantId = newMerchantId();
  for (const [amount, key] of [
    [500, 'a'],
    [700, 'b'],
    [500, 'a'],
  ] as const) {
    const asked = await stage.desk.refunds.refundPart(id, {
      merchantId,
      amount,
      key,
      reason: '',
    });
    expect(asked).toMatchObject({ kind: 'asked', isDone: true, refund: { amount } });
  }
  const report = await audited(drop);
  expect([broken(report), report.clean]).toEqual([[], true]);
  expect(report.checks[2]?.figures).toMatchObject({ parts: 1_200, kept: 8 * price - 1_200 });
  const { database } = stage.ledger;
  await database.query('update payments set amount_refunded = 500 where order_id = $1', [other]);
  const found = await audited(drop);
  expect(broken(found)).toEqual([4]);
  expect(found.checks[2]?.findings.join()).toContain(other);
});

test('The audit finds a capture that belongs to no payment', async () => {
  const { drop, ids, all } = await aSoldDrop();
  const [orderId, buyer] = [required(ids[0], 'order'), required(all[0], 'buyer')];
  const reference = aReference(`${paymentReference(orderId, 1)}_stray`);
  const charge = { reference, orderId, buyer, merchantId: drop.merchantId };
  await stage.wallet.start([aCharge({ ...charge, amount: price })]);
  expect(broken(await audited(drop))).toEqual([4]);
});

test('The audit finds an order that its lane has lost', async () => {
  const { drop, ids } = await aSoldDrop();
  const id = ids[0] ?? '';
  const lane = Number(id.split('_')[2]);
  await stage.redis.hdel(stage.key({ drop: drop.id, lane }, 'orders'), id.slice(-22));
  const report = await audited(drop);
  expect(broken(report)).toEqual(expect.arrayContaining([1, 3]));
  expect(report.checks[1]?.findings).toEqual([`${id}: not in its lane, paid in the ledger`]);
});

test('The audit finds an order that the ledger has lost', async () => {
  const { drop, ids } = await aSoldDrop();
  await stage.ledger.database.query('delete from orders where id = $1', [ids[0]]);
  expect(broken(await audited(drop))).toEqual(expect.arrayContaining([1, 3]));
});

test("The audit finds a balance that differs from the account's transfers, and tells merchants of their own alone", async () => {
  const [{ drop }, other] = [await aSoldDrop(), await aSoldDrop()];
  const change =
    'update accounts set balance = balance + $2 where owner = $1 and (kind, slot) in (select kind, max(slot) from accounts where owner = $1 group by kind)';
  for (const owner of [drop.merchantId, other.drop.merchantId, required(other.all[0], 'buyer')]) {
    await stage.ledger.database.query(change, [owner, 5]);
    const own = await audited(drop);
    const findings = JSON.stringify(own.checks);
    const isOwn = owner === drop.merchantId;
    expect([owner, broken(own)]).toEqual([owner, isOwn ? [4] : []]);
    expect(findings.includes(owner)).toBe(isOwn);
    const whole = required(await stage.desk.audit(drop.id, 'operator'), 'audit of the operator');
    expect(broken(whole)).toEqual([4]);
    expect(JSON.stringify(whole.checks)).toContain(owner);
    if (!isOwn) expect(JSON.stringify(stage.logged)).toContain(owner);
    await stage.ledger.database.query(change, [owner, -5]);
  }
});

test("The audit finds a wrong count of a buyer's units", async () => {
  const { drop, ids, all } = await aSoldDrop();
  const lane = Number((ids[0] ?? '').split('_')[2]);
  await stage.redis.hset(stage.key({ drop: drop.id, lane }, 'buyers'), `0:${all[0]}`, '7|x');
  expect(broken(await audited(drop))).toEqual([7]);
});

test('The audit finds a buyer who has more units of all items than the drop allows', async () => {
  const drop = await stage.publish({ items: [anItem({ perBuyer: 2 })] });
  for (const id of await stage.reserve(drop, buyers(1), { quantity: 2 })) {
    await stage.reaches(id, 'paid');
  }
  expect(broken(await audited(drop))).toEqual([]);
  const change = `update drops set details = (details::jsonb || '{"perBuyer":1}')::json where id = $1`;
  await stage.ledger.database.query(change, [drop.id]);
  expect(broken(await audited(drop))).toEqual([7]);
});

test('A change that is still on its way to the ledger is no breach', async () => {
  const drop = await stage.publish({ lanes: 2, items: [anItem({ allotment: 300 })] });
  const all = buyers(200);
  const selling = stage.reserve(drop, all);
  const reports: AuditReport[] = [];
  let sold = false;
  void selling.then(() => {
    sold = true;
  });
  while (!sold) reports.push(await audited(drop));
  for (const report of reports) expect(broken(report)).toEqual([]);
  for (const id of await selling) await stage.reaches(id, 'paid');
  await eventually(async () => (await audited(drop)).clean);
});

test('The audit says that it cannot tell while the outbox is not relayed', async () => {
  await settlement.stop();
  const drop = await stage.publish();
  await stage.reserve(drop, buyers(3));
  const report = await audited(drop);
  expect(report).toMatchObject({ clean: false, settled: false, backlog: 3 });
  expect(broken(report)).toEqual([]);
  await settlement.start();
  await eventually(async () => (await audited(drop)).clean);
});

test('The report sums the figures of all lanes and counts how orders ended', async () => {
  const { drop } = await aSoldDrop();
  const report = await stage.desk.report(drop.id);
  expect(report).toMatchObject({ drop: drop.id, state: 'open' });
  expect(report?.items).toMatchObject([{ sku: 'phone', available: 42, sold: 8, allotment: 50 }]);
  expect(report?.items[0]?.lanes).toHaveLength(2);
  expect(report?.funnel).toEqual({
    orders: { reserved: 0, paid: 8, released: 2, refunded: 0 },
    releases: { insufficient_funds: 2 },
  });
  const each = { expired: 0, cancelled: 0, declined: 1 };
  expect(report?.lapses).toMatchObject({ ...each, declined: 2, buyers: [each, each] });
  expect(report?.rates.settleMsMedian).toBeGreaterThan(0);
});
