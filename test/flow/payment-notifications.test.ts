import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { price } from '../support/sale.ts';
import { openShop, providerNames, type Shop } from '../support/shop.ts';

let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
});
afterEach(() => shop?.calm());
afterAll(() => shop?.stop());

/** What ends a provider's repeats, to the byte. */
const taken = {
  stripe: { status: 200, body: '{"received":true}' },
  alipay: { status: 200, body: 'success' },
  wechat_pay: { status: 204, body: '' },
} as const;

describe.each(providerNames)('Notifications of %s', (name) => {
  const provider = () => shop.simulators[name];
  const refundsOf = async (reference: string) => (await provider().charge(reference))?.refunds;

  /** An order whose hold lapsed unpaid, and whose buyer then paid all the same. */
  async function paidLate(options: { lateCapture?: 'refund'; rival?: boolean } = {}) {
    const { rival = false, ...rules } = options;
    await provider().faults({ captureAfterClose: 1 });
    const sale = await shop.sale({ units: 1, holdMs: 3_000, ...rules });
    const order = await sale.opens(name);
    await sale.reaches(order, 'released');
    if (rival) {
      const other = await sale.opens(name);
      await provider().pay(other.reference);
      await sale.reaches(other, 'paid');
    }
    expect(await provider().pay(order.reference)).toBe('captured');
    return { sale, order };
  }

  test('A notification that comes fifty times at once causes one transition, and each is acknowledged with the same bytes', async () => {
    await provider().faults({ lose: 1 });
    const before = {
      new: await shop.notified(name, 'new'),
      repeated: await shop.notified(name, 'repeated'),
    };
    const sale = await shop.sale({ units: 1 });
    const order = await sale.opens(name);
    await provider().pay(order.reference);
    const answers = await provider().notify({
      reference: order.reference,
      kind: 'captured',
      times: 50,
      parallel: true,
    });
    expect(answers).toEqual(Array.from({ length: 50 }, () => taken[name]));
    await sale.reaches(order, 'paid');
    expect(await shop.notified(name, 'new')).toBe(before.new + 1);
    expect(await shop.notified(name, 'repeated')).toBe(before.repeated + 49);
    expect(await sale.judged()).toMatchObject({ sold: 1, captured: price, refunded: 0 });
  });

  test('A refund’s notification that comes before the payment’s leaves the order paid and refunded, once', async () => {
    await provider().faults({ lose: 1 });
    const sale = await shop.sale({ units: 1 });
    const order = await sale.opens(name);
    await provider().pay(order.reference);
    const tell = (kind: 'captured' | 'refunded') =>
      provider().notify({ reference: order.reference, kind });
    expect(await tell('refunded')).toEqual([taken[name]]);
    await sale.reaches(order, 'paid');
    // WeChat Pay says at first that it will: 202.
    expect((await sale.refund(order.id)).status).toBeLessThan(300);
    for (const kind of ['captured', 'refunded', 'captured'] as const) {
      expect(await tell(kind)).toEqual([taken[name]]);
    }
    await sale.reaches(order, 'refunded');
    expect(await sale.judged()).toMatchObject({ sold: 0, captured: price, refunded: price });
    expect(await refundsOf(order.reference)).toHaveLength(1);
  });

  test('A capture of a closed payment takes the unit again while it is free', async () => {
    const { sale, order } = await paidLate();
    await sale.reaches(order, 'paid');
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 1, captured: price });
    expect(await refundsOf(order.reference)).toEqual([]);
  });

  test('A capture without a unit is refunded once, and the buyer’s order says so', async () => {
    const { sale, order } = await paidLate({ rival: true });
    await eventually(async () => (await refundsOf(order.reference))?.length === 1);
    const again = { reference: order.reference, kind: 'captured' as const, times: 5 };
    await provider().notify({ ...again, parallel: true });
    expect(await sale.judged()).toMatchObject({
      sold: 1,
      orders: 2,
      captured: 2 * price,
      refunded: price,
    });
    expect(await refundsOf(order.reference)).toEqual([expect.objectContaining({ amount: price })]);
    const told = await eventually(async () => {
      const now = await sale.order(order.buyer, order.id);
      return (now['payment'] as { state: string }).state === 'refunded' ? now : undefined;
    });
    expect(told).toMatchObject({ state: 'released' });
    expect(told['reasonText']).toMatch(/has been returned/);
  });

  test('A late capture for a drop that takes none is refunded, though the unit is free', async () => {
    const { sale, order } = await paidLate({ lateCapture: 'refund' });
    await eventually(async () => (await refundsOf(order.reference))?.length === 1);
    expect(await sale.judged()).toMatchObject({ available: 1, sold: 0, refunded: price });
    expect(await sale.order(order.buyer, order.id)).toMatchObject({ state: 'released' });
  });

  test('A capture that becomes known after its order was cancelled counts as a late capture', async () => {
    await provider().faults({ captureAfterClose: 1 });
    const sale = await shop.sale({ units: 1 });
    const order = await sale.opens(name);
    expect((await sale.cancel(order.buyer, order.id)).status).toBe(200);
    const other = await sale.opens(name);
    await provider().pay(other.reference);
    await sale.reaches(other, 'paid');
    await provider().pay(order.reference);
    await eventually(async () => (await refundsOf(order.reference))?.length === 1);
    expect(await sale.judged()).toMatchObject({ sold: 1, captured: 2 * price, refunded: price });
  });
});

describe('Lost notifications', () => {
  let hasty: Shop;
  beforeAll(async () => {
    hasty = await openShop({ timings: { pollFirstMs: 200 } });
  });
  afterAll(() => hasty?.stop());

  test.each(providerNames)(
    'A payment whose notification is lost is found by polling: %s',
    async (name) => {
      const provider = hasty.simulators[name];
      await provider.faults({ lose: 1 });
      const sale = await hasty.sale({ units: 1 });
      const order = await sale.opens(name);
      await hasty.rests(order.id);
      await provider.pay(order.reference);
      await sale.reaches(order, 'paid');
      expect(await provider.book()).toMatchObject({ sent: 0, taken: 0 });
      expect(await sale.judged()).toMatchObject({ sold: 1, captured: price });
    },
  );
});
