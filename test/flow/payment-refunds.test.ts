import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { price } from '../support/sale.ts';
import { type Opened, openShop, providerNames, type Shop, type ShopSale } from '../support/shop.ts';

let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
});
afterEach(() => shop?.calm());
afterAll(() => shop?.stop());

const ascending = (a: number, b: number) => a - b;

describe.each(providerNames)('Refunds through %s', (name) => {
  const provider = () => shop.simulators[name];
  /** Sorted: refunds under way at the same time reach the provider in any order. */
  const amountsBack = async ({ reference }: Opened) => {
    const refunds = (await provider().charge(reference))?.refunds;
    return refunds?.map(({ amount }) => amount).toSorted(ascending);
  };
  /** The refund of this amount, asked for again until the provider has made it. */
  const isDone = (sale: ShopSale, { id }: Opened, [amount, key]: [number, string]) =>
    eventually(async () => {
      const { status, json } = await sale.refundPart(id, amount, key);
      return status === 200 && (json['refund'] as { state: string }).state === 'done';
    });

  async function paid() {
    const sale = await shop.sale({ units: 1 });
    const order = await sale.opens(name);
    await provider().pay(order.reference);
    await sale.reaches(order, 'paid');
    return { sale, order };
  }

  test('A full refund is made once, however often it is requested, and the unit is on sale again', async () => {
    const { sale, order } = await paid();
    const answers = await Promise.all([1, 2, 3, 4].map(() => sale.refund(order.id)));
    for (const { status } of answers) expect([200, 202]).toContain(status);
    await sale.reaches(order, 'refunded');
    expect(await sale.refund(order.id)).toMatchObject({
      status: 200,
      json: { state: 'refunded' },
    });
    expect(await amountsBack(order)).toEqual([price]);
    const other = await sale.opens(name);
    await provider().pay(other.reference);
    await sale.reaches(other, 'paid');
    expect(await sale.judged()).toMatchObject({
      sold: 1,
      orders: 2,
      captured: 2 * price,
      refunded: price,
    });
  });

  test('Partial refunds are made once per key, and never come to more than was captured', async () => {
    const { sale, order } = await paid();
    const [first, second] = [50_000, 30_001];
    const taps = await Promise.all([1, 2, 3].map(() => sale.refundPart(order.id, first, 'a')));
    const ids = taps.map(({ json }) => (json['refund'] as { id: string }).id);
    expect(new Set(ids).size).toBe(1);
    expect(await sale.refundPart(order.id, first + 1, 'a')).toMatchObject({
      status: 422,
      code: 'idempotency_key_reused',
    });
    await isDone(sale, order, [second, 'b']);
    const rest = price - first - second;
    expect(await sale.refundPart(order.id, rest + 1, 'c')).toMatchObject({
      code: 'refund_exceeds',
      json: { refundable: rest },
    });
    await eventually(async () => (await amountsBack(order))?.length === 2);
    expect(await amountsBack(order)).toEqual([first, second].toSorted(ascending));
    await eventually(async () => {
      return (await sale.order(order.buyer, order.id))['amountRefunded'] === first + second;
    });
    expect(await sale.judged()).toMatchObject({ sold: 1, paid: 1, refunded: first + second });
    expect(await sale.figures()).toMatchObject({ available: 0, sold: 1 });
  });

  test('An order is refunded with its last part, and its unit is on sale again then, not before', async () => {
    const { sale, order } = await paid();
    await isDone(sale, order, [100_000, 'a']);
    expect(await sale.order(order.buyer, order.id)).toMatchObject({ state: 'paid' });
    await isDone(sale, order, [price - 100_000, 'b']);
    await sale.reaches(order, 'refunded');
    expect(await sale.refundPart(order.id, 1, 'c')).toMatchObject({ code: 'refund_exceeds' });
    expect(await amountsBack(order)).toEqual([100_000, price - 100_000].toSorted(ascending));
    expect(await sale.judged()).toMatchObject({ available: 1, sold: 0, refunded: price });
  });

  test.each([
    ['does it and answers 500', { fail: 1 }],
    ['answers 500 and does nothing', { refuse: 1 }],
  ])('A refund at a provider that %s is made once', async (_, faults) => {
    const { sale, order } = await paid();
    await provider().faults(faults);
    const asked = await sale.refundPart(order.id, 40_000, 'a');
    expect(asked).toMatchObject({ status: 202, json: { refund: { amount: 40_000 } } });
    expect((asked.json['refund'] as { state: string }).state).not.toBe('done');
    expect((await sale.refund(order.id)).status).toBe(202);
    await shop.calm();
    await sale.reaches(order, 'refunded');
    expect(await amountsBack(order)).toEqual([40_000, price - 40_000].toSorted(ascending));
    expect(await sale.judged()).toMatchObject({ available: 1, sold: 0, refunded: price });
  });

  test('A refund at a provider that never answers is made once', async () => {
    const { sale, order } = await paid();
    await provider().faults({ hang: 1 });
    let answered = 0;
    const asked = sale.refund(order.id).then(({ status }) => {
      answered = status;
    });
    // Stripe is asked what it knows before it is told to give back, so there nothing is done yet.
    const isStuck = async () => answered > 0 || (await amountsBack(order))?.length === 1;
    await eventually(isStuck);
    await shop.calm();
    await asked;
    expect([200, 202]).toContain(answered);
    await sale.reaches(order, 'refunded');
    expect(await amountsBack(order)).toEqual([price]);
    expect(await sale.judged()).toMatchObject({ available: 1, sold: 0, refunded: price });
  });
});

test.each(['stripe', 'wechat_pay'] as const)(
  'A refund that fails at %s after it was done leaves the books, and asking again makes another',
  async (name) => {
    const provider = shop.simulators[name];
    const sale = await shop.sale({ units: 1 });
    const order = await sale.opens(name);
    await provider.pay(order.reference);
    await sale.reaches(order, 'paid');
    await eventually(async () => (await sale.refund(order.id)).status === 200);
    await sale.reaches(order, 'refunded');
    await provider.changeRefund(`${order.reference}r1`, 'fail');
    const payment = async () => {
      const { payment: shown, amountRefunded } = await sale.order(order.buyer, order.id);
      return [(shown as { state: string }).state, amountRefunded];
    };
    await eventually(async () => (await payment()).join() === 'captured,');
    const alarm = 'refund that was done has failed: the buyer does not have the money';
    const told = shop.engine.logged.filter((line) => line.includes(alarm));
    expect(told.some((line) => line.includes(order.id))).toBe(true);
    await eventually(async () => {
      const { status, json } = await sale.refund(order.id);
      return status === 200 && (json['refund'] as { id: string }).id === `${order.reference}r2`;
    });
    expect(await payment()).toEqual(['refunded', price]);
    const back = (await provider.charge(order.reference))?.refunds ?? [];
    expect(back.map(({ failed = false }) => failed)).toEqual([true, false]);
  },
);
