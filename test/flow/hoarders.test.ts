import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Drop } from '../../src/domain/drop.ts';
import { paymentReference } from '../../src/ledger/payments/row.ts';
import { anItem } from '../support/drops.ts';
import { eventually } from '../support/eventually.ts';
import { anOrderId } from '../support/ids.ts';
import { openShop, type Shop, visit } from '../support/shop.ts';

let shop: Shop;
let merchant: Awaited<ReturnType<Shop['engine']['merchant']>>;
beforeAll(async () => {
  shop = await openShop({ timings: { pollFirstMs: 100 } });
  merchant = await shop.engine.merchant();
});
afterAll(() => shop?.stop());

type Asked = { buyer: string; key?: string; payload?: object };
type Answer = { status: number; json: Record<string, unknown>; body: string };

async function send(method: 'GET' | 'POST', url: string, asked: Asked): Promise<Answer> {
  const { buyer, key, payload } = asked;
  const answer = await shop.engine.app.inject({
    method,
    url,
    headers: { ...shop.engine.buyer(buyer), ...(key ? { 'idempotency-key': key } : {}) },
    ...(payload ? { payload } : {}),
  });
  return { status: answer.statusCode, json: answer.json(), body: answer.body };
}

type Wish = { method: string; quantity?: number };

function buy(drop: Drop, buyer: string, key: string, { method, quantity = 1 }: Wish) {
  const payload = { sku: 'phone', quantity, payment: { method } };
  return send('POST', `/v1/drops/${drop.id}/orders`, { buyer, key, payload });
}

const pay = (buyer: string, order: unknown, method: string) => {
  return send('POST', `/v1/orders/${order}/payment`, { buyer, payload: { method } });
};

/** What hoarders do with a unit that they hold: never pay, and take another as soon as they can. */
const tactics: { wish: Wish; hold(buyer: string, order: unknown): Promise<unknown> }[] = [
  { wish: { method: 'stripe' }, hold: async () => {} },
  {
    wish: { method: 'stripe' },
    hold: (buyer, order) => send('POST', `/v1/orders/${order}/cancel`, { buyer }),
  },
  {
    wish: { method: 'stripe' },
    async hold(buyer, order) {
      const begun = await pay(buyer, order, 'stripe');
      // On a slow machine the hold may have lapsed before.
      if (begun.status !== 200) return;
      await visit(begun.json['action']);
      const reference = paymentReference(anOrderId(order), 1, 'stripe');
      await shop.simulators.stripe.decline(reference);
    },
  },
  {
    wish: { method: 'alipay', quantity: 2 },
    async hold(buyer, order) {
      for (const method of ['alipay', 'wechat_pay']) await pay(buyer, order, method);
      await send('POST', `/v1/orders/${order}/cancel`, { buyer });
    },
  },
  // The wallet is empty.
  { wish: { method: 'wallet' }, hold: async () => {} },
];

const accounts = 10;
const honest = 60;
const units = 10;
const perBuyer = 2;
const lapsesMax = 3;
/** Far more than the rule allows: where it does not hold, a hoarder stops here. */
const holdsMost = 25;

const isFinal = (code: unknown) => code === 'lapse_limit' || code === 'sold_out';

test('Ten accounts that hold and never pay end with no unit of ten, and sixty honest buyers with all', async () => {
  const drop = await shop.engine.publish(merchant.id, {
    ...{ lapsesMax, unpaidHoldMs: 300, holdMs: 300_000 },
    items: [anItem({ allotment: units, perBuyer })],
  });
  const payers = Array.from({ length: honest }, (_, n) => `honest-${n}`);
  for (const buyer of payers) await shop.engine.fund(buyer);

  async function hoard(n: number, onFirst: () => void): Promise<number> {
    const buyer = `hoarder-${n}`;
    const tactic = tactics[n % tactics.length];
    let holds = 0;
    let press = 0;
    while (tactic && holds < holdsMost) {
      const { status, json } = await eventually(async () => {
        press += 1;
        const answer = await buy(drop, buyer, `press-${press}`, tactic.wish);
        onFirst();
        return (answer.status === 202 || isFinal(answer.json['code'])) && answer;
      });
      if (status !== 202) return holds;
      holds += 1;
      await tactic.hold(buyer, json['id']);
    }
    return holds;
  }

  /** Waits until units are free or all are sold: one question for everybody who waits. */
  let freeing: Promise<unknown> | undefined;
  async function untilFree(): Promise<void> {
    freeing ??= eventually(async () => {
      const { items } = (await report(drop)).json;
      return items[0].available > 0 || items[0].sold === units;
    }).finally(() => {
      freeing = undefined;
    });
    await freeing;
  }

  async function buyHonestly(buyer: string): Promise<unknown> {
    for (;;) {
      const { status, json } = await buy(drop, buyer, 'mine', { method: 'wallet' });
      if (status === 202) return await ending(buyer, json['id']);
      if (json['code'] === 'sold_out') return 'none';
      await untilFree();
    }
  }

  // The hoarders are faster: each has pressed before anybody else does.
  const hoarding: Promise<number>[] = [];
  for (let n = 0; n < accounts; n += 1) {
    const { promise, resolve } = Promise.withResolvers<void>();
    hoarding.push(hoard(n, resolve));
    await promise;
  }
  const outcomes = await Promise.all(payers.map(buyHonestly));
  const holds = await Promise.all(hoarding);

  expect(outcomes.filter((outcome) => outcome === 'paid')).toHaveLength(units);
  // The last of them may be open side by side, as many as one buyer may have.
  for (const count of holds) expect(count).toBeLessThanOrEqual(lapsesMax + perBuyer - 1);
  const hoarded = holds.reduce((sum, count) => sum + count, 0);
  const { items, funnel } = await eventually(async () => {
    const { json } = await report(drop);
    const { paid, reserved } = json.funnel.orders;
    const { expired, cancelled, declined } = json.lapses;
    const isOver = paid === units && reserved === 0;
    return isOver && expired + cancelled + declined >= hoarded && json;
  });
  expect(items[0]).toMatchObject({ available: 0, held: 0, sold: units, allotment: units });
  expect(funnel.orders).toMatchObject({ reserved: 0, paid: units, refunded: 0 });
});

/** The state in which an order ends. */
function ending(buyer: string, id: unknown): Promise<unknown> {
  return eventually(async () => {
    const { json } = await send('GET', `/v1/orders/${id}`, { buyer });
    return json['state'] !== 'reserved' && json['state'];
  });
}

async function report(drop: Drop) {
  const { authorization } = merchant;
  const answer = await shop.engine.app.inject({
    url: `/v1/drops/${drop.id}/report`,
    headers: { authorization },
  });
  return { json: answer.json() };
}
