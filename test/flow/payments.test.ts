import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { OrderId } from '../../src/domain/ids.ts';
import { paymentReference } from '../../src/ledger/payments/row.ts';
import { eventually } from '../support/eventually.ts';
import { type Buyer, price } from '../support/sale.ts';
import { openShop, providerNames, type Shop, visit } from '../support/shop.ts';

let shop: Shop;
beforeAll(async () => {
  // WeChat Pay does not notify of a declined payment: only a poll finds it.
  shop = await openShop({ timings: { pollFirstMs: 1_000 } });
});
afterEach(() => shop?.calm());
afterAll(() => shop?.stop());

/** Another provider than this one. */
const anotherThan = { stripe: 'alipay', alipay: 'wechat_pay', wechat_pay: 'stripe' } as const;

describe.each(providerNames)('Orders paid through %s', (name) => {
  const provider = () => shop.simulators[name];
  const chargeOf = async (reference: string) => {
    const charge = await provider().charge(reference);
    if (!charge) throw new Error(`the provider has no ${reference}`);
    return charge;
  };

  test('An order waits for its buyer, and is paid once the provider has the money', async () => {
    const sale = await shop.sale({ units: 1 });
    const order = await sale.opens(name);
    const stands = async () => (await sale.begins(order.buyer, order.id)).json;
    await eventually(async () => (await stands())['state'] === 'started');
    expect(await stands()).toMatchObject({ order: order.id, method: name });
    expect(await sale.order(order.buyer, order.id)).toMatchObject({
      state: 'reserved',
      awaits: 'payment',
    });
    expect(await provider().pay(order.reference)).toBe('captured');
    await sale.reaches(order, 'paid');
    expect(await stands()).toMatchObject({ method: name, state: 'captured' });
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 1, captured: price });
  });

  test('An order whose payment is declined is released within its hold, and its unit is on sale again', async () => {
    // Alipay has one word for a trade that was declined and one that ran out: its buyer has the hold.
    const isExpired = name === 'alipay';
    const sale = await shop.sale({ units: 1, holdMs: isExpired ? 6_000 : 300_000 });
    const order = await sale.opens(name);
    expect(await provider().decline(order.reference)).toBe('closed');
    const { reason, reasonText } = await sale.reaches(order, 'released');
    expect(reason).toBe(isExpired ? 'expired' : 'declined');
    expect(reasonText).toMatch(/./);
    const other = await sale.opens(name);
    await provider().pay(other.reference);
    await sale.reaches(other, 'paid');
    expect(await sale.judged()).toMatchObject({ sold: 1, orders: 2, captured: price });
  });

  test('An abandoned payment is closed at the provider before its unit is on sale again', async () => {
    const sale = await shop.sale({ units: 1, holdMs: 4_000 });
    const order = await sale.opens(name);
    const { releasedAt, reason } = await sale.reaches(order, 'released');
    expect(reason).toBe('expired');
    const { state, endedAt, captures } = await chargeOf(order.reference);
    expect({ state, captures }).toEqual({ state: 'closed', captures: 0 });
    expect(endedAt).toBeLessThan(Date.parse(releasedAt as string));
    expect(await provider().pay(order.reference)).toBe('refused');
    expect(await sale.judged()).toMatchObject({ available: 1, sold: 0, captured: 0 });
  });

  test('The payment of a cancelled order is closed at the provider, and its unit is on sale again', async () => {
    const sale = await shop.sale({ units: 1 });
    const order = await sale.opens(name);
    expect(await sale.cancel(order.buyer, order.id)).toMatchObject({
      status: 200,
      json: { state: 'released', reason: 'cancelled' },
    });
    expect(await chargeOf(order.reference)).toMatchObject({ state: 'closed', captures: 0 });
    expect(await sale.begins(order.buyer, order.id, { method: name })).toMatchObject({
      status: 409,
      code: 'order_ended',
    });
    expect(await sale.judged()).toMatchObject({ available: 1, sold: 0, captured: 0 });
  });

  test('A paid order cannot be cancelled, even before the engine knows of the payment', async () => {
    await provider().faults({ lose: 1 });
    const sale = await shop.sale({ units: 1 });
    const order = await sale.opens(name);
    await provider().pay(order.reference);
    for (const _ of [1, 2]) {
      expect(await sale.cancel(order.buyer, order.id)).toMatchObject({
        status: 409,
        code: 'order_paid',
      });
    }
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 1, captured: price });
  });

  test('A double tap and two tabs begin one payment, and each gets the same action', async () => {
    const sale = await shop.sale({ units: 1 });
    const { buyer, id } = await sale.buys(name);
    const taps = await Promise.all(
      Array.from({ length: 8 }, () => sale.begins(buyer, id, { method: name })),
    );
    const later = await sale.begins(buyer, id, { method: name });
    expect(later.status, later.body).toBe(200);
    const told = taps.filter(({ status }) => status === 200).map(({ json }) => json['action']);
    // Whoever was overtaken by another may be told to ask again, and nothing else.
    for (const tap of taps.filter(({ status }) => status !== 200)) {
      expect(tap).toMatchObject({ status: 503, code: 'payment_unknown' });
    }
    for (const action of [...told, later.json['action']]) await visit(action);
    const reference = paymentReference(id, 1, name);
    expect(await provider().pay(reference)).toBe('captured');
    await sale.reaches({ buyer, id }, 'paid');
    expect(await sale.judged()).toMatchObject({ sold: 1, captured: price });
    const { charges } = await provider().book();
    expect(charges.filter((charge) => charge.reference === paymentReference(id, 2, name))).toEqual(
      [],
    );
  });

  test('A buyer may change the payment method, and the first payment is closed before the second is begun', async () => {
    const sale = await shop.sale({ units: 1 });
    const order = await sale.opens(name);
    const [other, second] = [anotherThan[name], paymentReference(order.id, 2, name)];
    const begun = await sale.begins(order.buyer, order.id, { method: other });
    expect(begun).toMatchObject({ status: 200, json: { method: other, state: 'started' } });
    expect(await chargeOf(order.reference)).toMatchObject({ state: 'closed' });
    await visit(begun.json['action']);
    expect(await shop.simulators[other].pay(second)).toBe('captured');
    await sale.reaches(order, 'paid');
    expect(await provider().pay(order.reference)).toBe('refused');
    expect(await sale.judged()).toMatchObject({ sold: 1, captured: price, refunded: 0 });
    expect(await sale.order(order.buyer, order.id)).toMatchObject({
      state: 'paid',
      payment: { provider: other, state: 'captured' },
    });
  });

  test('An order with two captures keeps one and refunds the other, once', async () => {
    await provider().faults({ captureAfterClose: 1 });
    const sale = await shop.sale({ units: 1 });
    const order = await sale.opens(name);
    const [other, second] = [anotherThan[name], paymentReference(order.id, 2, name)];
    const begun = await sale.begins(order.buyer, order.id, { method: other });
    await visit(begun.json['action']);
    expect(await shop.simulators[other].pay(second)).toBe('captured');
    expect(await provider().pay(order.reference)).toBe('captured');
    const charges = await eventually(async () => {
      const both = [
        await provider().charge(order.reference),
        await shop.simulators[other].charge(second),
      ];
      return both.some((charge) => charge && charge.refunds.length > 0) ? both : undefined;
    });
    await sale.reaches(order, 'paid');
    expect(charges.map((charge) => charge?.captures)).toEqual([1, 1]);
    const outcome = await sale.judged();
    expect(outcome).toMatchObject({ sold: 1, paid: 1, captured: 2 * price, refunded: price });
    expect(charges.flatMap((charge) => charge?.refunds ?? [])).toHaveLength(1);
  });
});

describe('The view of an order', () => {
  /** The order in each event of its stream, which ends with the order's. */
  async function followed({ token }: Buyer, id: OrderId): Promise<Record<string, unknown>[]> {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${shop.address}/v1/orders/${id}/stream`, { headers });
    const text = await answer.text();
    return [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data as string));
  }

  test('An order tells its present state, payment and times wherever it is asked for, and awaits nothing once it has ended', async () => {
    const sale = await shop.sale({ units: 1 });
    const { buyer, id } = await sale.buys('stripe');
    expect(await sale.order(buyer, id)).toMatchObject({ state: 'reserved', awaits: 'payment' });
    await visit((await sale.begins(buyer, id, { method: 'alipay' })).json['action']);
    const started = { provider: 'alipay', state: 'started' };
    const begun = await eventually(async () => {
      const order = await sale.order(buyer, id);
      return order['reservedAt'] !== undefined && order;
    });
    expect(begun).toMatchObject({ state: 'reserved', awaits: 'payment', payment: started });
    const payment = await sale.begins(buyer, id);
    expect(payment.json).toMatchObject({ method: 'alipay', state: 'started' });

    const following = followed(buyer, id);
    await shop.simulators.alipay.pay(paymentReference(id, 1, 'alipay'));
    const events = await following;
    expect(events[0]).toEqual(begun);
    const paid = events.at(-1) ?? {};
    expect(paid).toMatchObject({
      state: 'paid',
      payment: { provider: 'alipay', state: 'captured' },
      reservedAt: begun['reservedAt'],
      paidAt: expect.any(String),
    });
    expect(paid).not.toHaveProperty('awaits');
    expect(await sale.order(buyer, id)).toEqual(paid);

    const refund = await sale.refund(id);
    expect(refund.json).toMatchObject({ paidAt: paid['paidAt'], payment: { provider: 'alipay' } });
    expect(refund.json).not.toHaveProperty('awaits');
    const refunded = await sale.reaches({ buyer, id }, 'refunded');
    expect(refunded).not.toHaveProperty('awaits');
    expect(refunded).toMatchObject({ payment: { state: 'refunded' }, amountRefunded: price });
  });

  test('A cancelled order tells the same in the answer, in its stream and when it is read again', async () => {
    const sale = await shop.sale({ units: 1 });
    const { buyer, id } = await sale.buys('stripe');
    await sale.begins(buyer, id, { method: 'stripe' });
    const following = followed(buyer, id);
    const cancelled = await sale.cancel(buyer, id);
    expect(cancelled.json).toMatchObject({
      state: 'released',
      reason: 'cancelled',
      payment: { provider: 'stripe', state: 'declined' },
      releasedAt: expect.any(String),
    });
    expect(cancelled.json).not.toHaveProperty('awaits');
    expect((await following).at(-1)).toEqual(cancelled.json);
    expect(await sale.order(buyer, id)).toEqual(cancelled.json);
    expect((await sale.cancel(buyer, id)).json).toEqual(cancelled.json);
  });

  test('An order that the wallet pays has its payment and its times in the last event of the stream', async () => {
    const sale = await shop.sale({ units: 1 });
    const { buyer, id } = await sale.buys('wallet');
    const paid = (await followed(buyer, id)).at(-1) ?? {};
    const captured = { provider: 'wallet', state: 'captured' };
    expect(paid).toMatchObject({ state: 'paid', payment: captured, paidAt: expect.any(String) });
    expect(await sale.order(buyer, id)).toEqual(paid);
  });
});
