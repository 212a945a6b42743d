import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Book } from '../../loadtest/crowd.ts';
import { startTestEngine, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { sharedRedisUrl } from '../support/redis.ts';
import { type Buyer, openSale, purse, type SaleOptions } from '../support/sale.ts';
import { openStallingWallet } from '../support/stalling.ts';

const stalling = openStallingWallet();
let engine: TestEngine;
let address: string;
beforeAll(async () => {
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settings: { demo: true },
    provider: stalling.provider,
    timings: { redriveEveryMs: 50, redriveStaleMs: 500 },
  });
  address = await engine.serve();
});
afterAll(() => engine?.stop());

async function aSale(options: SaleOptions) {
  const { apiKey } = await engine.merchant();
  return openSale({ address, merchantKey: apiKey }, options);
}

describe('While a crowd buys', () => {
  test('Stock is added and taken away during a sale, and never from held or sold units', async () => {
    const sale = await aSale({ units: 40 });
    let allotment = 40;
    let over = false;
    const crowd = sale.run(await sale.gather(150), { pressing: 30 }).then(() => {
      over = true;
    });
    for (let edit = 0; !over || edit < 12; edit += 1) {
      const delta = [7, -3, 2, -5, -1_000][edit % 5] as number;
      const answer = await sale.adjust(delta, `edit-${edit}`);
      if (answer.status === 200) allotment += delta;
      else expect(answer).toMatchObject({ status: 409, code: 'stock_taken' });
      const again = await sale.adjust(delta, `edit-${edit}`);
      if (answer.status === 200) expect(again.body).toBe(answer.body);
    }
    await crowd;
    const { available, sold } = await sale.judged();
    expect(available + sold).toBe(allotment);
    expect(await sale.adjust(-available - 1, 'too-far')).toMatchObject({ code: 'stock_taken' });
    if (available > 0)
      expect(await sale.adjust(-available, 'all-of-it')).toMatchObject({ status: 200 });
    expect(await sale.press(await sale.one())).toMatchObject({ code: 'sold_out' });
    expect(await sale.adjust(1, 'one-more')).toMatchObject({ status: 200 });
    await eventually(async () => (await sale.press(await sale.one())).status === 202);
    expect(await sale.judged()).toMatchObject({ available: 0, sold: sold + 1 });
  });

  test('A paused drop takes no orders and settles those it has, and a resumed drop sells again', async () => {
    const sale = await aSale({ units: 60 });
    const [early, later] = [await sale.gather(40), await sale.gather(60)];
    const meanwhile: Book = new Map();
    let paused: Promise<unknown> | undefined;
    const pause = async () => {
      expect(await sale.act('pause')).toMatchObject({ status: 200 });
      // At once, before this process has looked at the lane again.
      await sale.run(later, { into: meanwhile });
    };
    await sale.run(early, {
      pressing: 10,
      onAccepted(accepted) {
        if (accepted === 20) paused = pause();
      },
    });
    await paused;
    expect(sale.told().filter((code) => code !== '' && code !== 'drop_paused')).toEqual([]);
    const told = [...meanwhile.values()].flat().map(({ status, code }) => `${status} ${code}`);
    expect(new Set(told)).toEqual(new Set(['409 drop_paused']));

    const taken = (one: Buyer) => sale.book.get(one.buyer)?.find(({ status }) => status === 202);
    const owner = early.find(taken) as Buyer;
    expect(await sale.press(owner)).toMatchObject({
      status: 202,
      replayed: true,
      body: taken(owner)?.body,
    });
    const { paid } = await sale.judged();
    expect(paid).toBeGreaterThanOrEqual(20);
    expect(await sale.act('resume')).toMatchObject({ status: 200 });
    const first = later[0] as Buyer;
    await eventually(async () => (await sale.press(first)).status === 202);
    await sale.run(later.slice(1));
    for (const one of early) if (!taken(one)) await sale.press(one);
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 60, paid: 60 });
  });

  test('A cancelled drop releases every hold and refunds every payment, and no wallet is short', async () => {
    const sale = await aSale({ units: 100 });
    const idle = await sale.gather(3);
    for (const one of idle) stalling.keepWaiting(one.buyer);
    const held = await Promise.all(idle.map((one) => sale.press(one)));
    const [buyers, later] = [await sale.gather(40), await sale.gather(20)];
    let cancelled: Promise<unknown> | undefined;
    await sale.run(buyers, {
      pressing: 10,
      onAccepted(accepted) {
        if (accepted === 30) cancelled = sale.act('cancel');
      },
    });
    expect(await cancelled).toMatchObject({ status: 200 });
    expect(sale.told().filter((code) => code !== '' && code !== 'drop_ended')).toEqual([]);
    const answers = await Promise.all(later.map((one) => sale.press(one)));
    for (const answer of answers) expect(answer).toMatchObject({ status: 410, code: 'drop_ended' });
    await eventually(async () => (await sale.judged()).paid === 0);
    const { available, orders, captured, refunded } = await sale.judged();
    expect(orders).toBeGreaterThanOrEqual(33);
    expect([available, refunded]).toEqual([100, captured]);
    for (const [n, one] of idle.entries()) {
      const order = await sale.order(one, held[n]?.json['id']);
      expect(order).toMatchObject({ state: 'released', reason: 'drop_cancelled' });
    }
    for (const one of [...buyers, ...idle]) {
      const { balance, moves } = await sale.wallet(one);
      expect([balance, moves.length % 2]).toEqual([purse, 1]);
      expect(moves.length).toBeLessThanOrEqual(3);
    }
  });
});

test('An ended drop takes no more orders, and an open hold may still be paid', async () => {
  const sale = await aSale({ units: 5, holdMs: 5_000 });
  const [slow, idle] = [await sale.one(), await sale.one()];
  for (const { buyer } of [slow, idle]) stalling.keepWaiting(buyer);
  const [paid, lapsed] = [await sale.press(slow), await sale.press(idle)];
  expect(await sale.act('end')).toMatchObject({ status: 200 });
  expect(await sale.press(await sale.one())).toMatchObject({ status: 410, code: 'drop_ended' });
  stalling.letGo(slow.buyer);
  expect(await sale.judged()).toMatchObject({ available: 4, sold: 1, paid: 1, orders: 2 });
  expect(await sale.order(slow, paid.json['id'])).toMatchObject({ state: 'paid' });
  expect(await sale.order(idle, lapsed.json['id'])).toMatchObject({ reason: 'expired' });
  expect(await sale.press(slow)).toMatchObject({ status: 202, replayed: true, body: paid.body });
});

test('A refund requested twenty times at once returns the money once and puts the unit on sale again', async () => {
  const sale = await aSale({ units: 1 });
  const [first, second] = [await sale.one(), await sale.one()];
  const { id } = (await sale.press(first)).json;
  expect(await sale.settled()).toMatchObject({ sold: 1 });
  await eventually(async () => (await sale.press(second)).code === 'sold_out');
  const answers = await Promise.all(Array.from({ length: 20 }, () => sale.refund(id)));
  for (const { status, json } of answers)
    expect([status, json['state']]).toEqual([200, 'refunded']);
  await eventually(async () => (await sale.press(second)).status === 202);
  expect(await sale.judged()).toMatchObject({ available: 0, sold: 1, paid: 1, orders: 2 });
  expect(await sale.refund(id)).toMatchObject({ status: 200 });
  expect(await sale.order(first, id)).toMatchObject({ state: 'refunded' });
  expect(await sale.wallet(first)).toEqual({
    balance: purse,
    moves: ['topup', 'capture', 'refund'],
  });
});
