import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { OrderId } from '../../src/domain/ids.ts';
import { paymentReference } from '../../src/ledger/payments/row.ts';
import { eventually } from '../support/eventually.ts';
import { aTopUpId } from '../support/ids.ts';
import { type Buyer, price, purse } from '../support/sale.ts';
import { openShop, providerNames, type Shop, type ShopSale, visit } from '../support/shop.ts';

let shop: Shop;
beforeAll(async () => {
  shop = await openShop({ timings: { pollFirstMs: 300 } });
});
afterEach(() => shop?.calm());
afterAll(() => shop?.stop());

const attemptsOf = (id: OrderId) => shop.engine.ledger.payments.ofOrders([id]);

async function choosePassword({ token }: Buyer, sale: ShopSale, password: string): Promise<void> {
  const answer = await fetch(`${shop.address}/v1/wallet/password`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ password }),
  });
  expect(answer.ok, await answer.text()).toBe(true);
  expect((await sale.wallet({ buyer: '', token })).balance).toBe(purse);
}

describe.each(providerNames)('Payments through %s', (name) => {
  test('No payment is begun for another buyer’s order, which is answered like one that does not exist', async () => {
    const sale = await shop.sale({ units: 1 });
    const { id } = await sale.buys(name);
    const stranger = await sale.one();
    const none = `${id.slice(0, -22)}${'A'.repeat(22)}`;
    for (const order of [id, none, 'ord_nothing']) {
      for (const wish of [{ method: name }, undefined]) {
        expect(await sale.begins(stranger, order, wish)).toMatchObject({
          status: 404,
          code: 'unknown_order',
        });
      }
    }
    expect(await attemptsOf(id)).toEqual([]);
  });

  test('No payment is begun for an order that is paid, released or refunded', async () => {
    const sale = await shop.sale({ units: 2 });
    const { buyer, id, reference } = await sale.opens(name);
    await shop.simulators[name].pay(reference);
    await sale.reaches({ buyer, id }, 'paid');
    const again = () => sale.begins(buyer, id, { method: name });
    expect(await again()).toMatchObject({ status: 409, code: 'order_paid' });
    await sale.refund(id);
    await sale.reaches({ buyer, id }, 'refunded');
    expect(await again()).toMatchObject({
      status: 409,
      code: 'order_ended',
      json: { state: 'refunded' },
    });
    const other = await sale.buys(name);
    expect((await sale.cancel(other.buyer, other.id)).status).toBe(200);
    expect(await sale.begins(other.buyer, other.id, { method: name })).toMatchObject({
      status: 409,
      code: 'order_ended',
      json: { state: 'released' },
    });
    expect(await attemptsOf(other.id)).toEqual([]);
    expect(await attemptsOf(id)).toHaveLength(1);
    expect(await sale.judged()).toMatchObject({ captured: price, refunded: price });
  });

  test('No payment is begun with a wish that the provider cannot fulfil', async () => {
    const sale = await shop.sale({ units: 1 });
    const { buyer, id } = await sale.buys(name);
    for (const wish of [{ scene: 'telepathy' }, { returnUrl: 'https://evil.test/' }, { pin: 1 }]) {
      expect(await sale.begins(buyer, id, { method: name, ...wish })).toMatchObject({
        status: 400,
        code: 'invalid_request',
      });
    }
    expect(await attemptsOf(id)).toEqual([]);
  });

  test('A later return URL of a payment is honoured, one that is not allowed is refused, and none keeps the first', async () => {
    const sale = await shop.sale({ units: 1 });
    const { buyer, id } = await sale.buys(name);
    const scene = { stripe: undefined, alipay: 'wap', wechat_pay: 'h5' }[name];
    const begins = (returnUrl?: string) =>
      sale.begins(buyer, id, { method: name, scene, returnUrl });
    const urlOf = (answer: { json: Record<string, unknown> }) =>
      (answer.json['action'] as { url: string }).url;
    const first = urlOf(await begins('https://shop.example/one'));
    expect(urlOf(await begins('https://shop.example/one'))).toBe(first);
    expect(urlOf(await begins())).toBe(first);
    expect(await begins('https://shop.example.evil.test/')).toMatchObject({ status: 400 });
    expect(await attemptsOf(id)).toHaveLength(1);
    const second = urlOf(await begins('https://shop.example/two'));
    expect(second).not.toBe(first);
    expect(urlOf(await begins())).toBe(second);
    // Nothing is payable in two ways: the page with the first return URL is closed.
    const attempts = await attemptsOf(id);
    expect(attempts.map(({ state }) => state)).toEqual(['declined', 'started']);
    if (name !== 'stripe') expect(decodeURIComponent(second)).toContain('https://shop.example/two');
  });

  test('No payment is begun after the time to pay, even while the hold lasts', async () => {
    const sale = await shop.sale({ units: 1, holdMs: 4_000 });
    const { buyer, id } = await sale.buys(name);
    const { expiresAt } = await sale.order(buyer, id);
    await eventually(() => Date.now() > Date.parse(expiresAt as string) - 700);
    expect(await sale.begins(buyer, id, { method: name })).toMatchObject({
      status: 409,
      code: 'payment_time_over',
    });
    expect(await attemptsOf(id)).toEqual([]);
  });

  test('A top-up is credited once, however often it is notified and looked up', async () => {
    const sale = await shop.sale({ units: 1 });
    const { buyer, token } = await sale.one();
    const body = { amount: 12_345, currency: 'CNY', method: name };
    const ask = () => sale.call('POST', '/v1/wallet/topups', { token, key: 'fill', body });
    const [first, second] = [await ask(), await ask()];
    expect(first).toMatchObject({ status: 202, json: { state: 'open', amount: 12_345 } });
    const [id, action] = [aTopUpId(first.json['id']), first.json['action']];
    expect(second.json).toMatchObject({ id, action });
    expect(
      await sale.call('POST', '/v1/wallet/topups', {
        token,
        key: 'fill',
        body: { ...body, amount: 1 },
      }),
    ).toMatchObject({
      status: 422,
      code: 'idempotency_key_reused',
    });
    await visit(action);
    const [reference, provider] = [paymentReference(id, 1, name), shop.simulators[name]];
    expect((await sale.wallet({ buyer, token })).balance).toBe(purse);
    await provider.pay(reference);
    const isCredited = async () => {
      const { json } = await sale.call('GET', `/v1/wallet/topups/${id}`, { token });
      return json['state'] === 'credited';
    };
    await eventually(isCredited);
    await provider.notify({ reference, kind: 'captured', times: 20, parallel: true });
    const { topUps } = shop.engine.services;
    await Promise.all(Array.from({ length: 5 }, () => topUps.settle([id])));
    expect(await ask()).toMatchObject({ status: 202, json: { id, state: 'credited' } });
    expect(await sale.wallet({ buyer, token })).toEqual({
      balance: purse + 12_345,
      moves: ['topup', 'topup'],
    });
    const stranger = await sale.one();
    expect(await sale.call('GET', `/v1/wallet/topups/${id}`, stranger)).toMatchObject({
      status: 404,
      code: 'unknown_topup',
    });
  });

  test('A top-up whose notification is lost is found by polling', async () => {
    await shop.simulators[name].faults({ lose: 1 });
    const sale = await shop.sale({ units: 1 });
    const { buyer, token } = await sale.one();
    const body = { amount: 700, currency: 'CNY', method: name };
    const { json } = await sale.call('POST', '/v1/wallet/topups', { token, key: 'k', body });
    await visit(json['action']);
    await shop.simulators[name].pay(paymentReference(aTopUpId(json['id']), 1, name));
    await eventually(async () => (await sale.wallet({ buyer, token })).balance === purse + 700);
  });
});

test('A method that is not offered in the drop’s currency is refused in a Buy and in a payment', async () => {
  const sale = await shop.sale({ units: 1, currency: 'USD' });
  const buyer = await sale.one();
  for (const method of ['alipay', 'wechat_pay']) {
    expect(await sale.press(buyer, { method, key: method })).toMatchObject({
      code: 'payment_method_not_offered',
    });
  }
  expect(await sale.figures()).toMatchObject({ available: 1, held: 0 });
  const { id } = await sale.buys('stripe', buyer);
  for (const method of ['alipay', 'wechat_pay']) {
    expect(await sale.begins(buyer, id, { method })).toMatchObject({
      code: 'payment_method_not_offered',
    });
  }
  expect(await sale.begins(buyer, id, { method: 'cash' })).toMatchObject({ status: 400 });
  expect(await attemptsOf(id)).toEqual([]);
});

describe('A wallet payment that needs the password', () => {
  test('An order that needs the password is never charged by the engine: it waits, and its hold ends', async () => {
    const sale = await shop.sale({ units: 1, holdMs: 4_000, passwordAbove: price - 1 });
    const { buyer, id } = await sale.buys('wallet');
    await choosePassword(buyer, sale, '280193');
    expect(await sale.order(buyer, id)).toMatchObject({ state: 'reserved', awaits: 'password' });
    expect(await sale.reaches({ buyer, id }, 'released')).toMatchObject({ reason: 'expired' });
    expect(await attemptsOf(id)).toEqual([]);
    expect(await sale.wallet(buyer)).toEqual({ balance: purse, moves: ['topup'] });
    expect(await sale.judged()).toMatchObject({ available: 1, captured: 0 });
  });

  test('An order that needs the password is paid at once with the right one, and with no other', async () => {
    const sale = await shop.sale({ units: 1, passwordAbove: price - 1 });
    const { buyer, id } = await sale.buys('wallet');
    const pays = (password?: string) =>
      sale.begins(buyer, id, { method: 'wallet', ...(password ? { password } : {}) });
    expect(await pays('280193')).toMatchObject({ code: 'payment_password_not_set' });
    await choosePassword(buyer, sale, '280193');
    expect(await pays()).toMatchObject({ code: 'payment_password_needed' });
    expect(await pays('280194')).toMatchObject({ code: 'payment_password_wrong' });
    expect(await attemptsOf(id)).toEqual([]);
    expect((await sale.wallet(buyer)).balance).toBe(purse);
    expect(await pays('280193')).toMatchObject({ status: 200, json: { state: 'captured' } });
    expect(await sale.order(buyer, id)).toMatchObject({ state: 'paid' });
    expect(await pays('280193')).toMatchObject({ status: 409, code: 'order_paid' });
    expect(await sale.judged()).toMatchObject({ sold: 1, captured: price });
  });

  test('A locked wallet pays with no password, and its buyer may pay by another method', async () => {
    const sale = await shop.sale({ units: 1, passwordAbove: 0 });
    const { buyer, id } = await sale.buys('wallet');
    await choosePassword(buyer, sale, '280193');
    const pays = (password: string) => sale.begins(buyer, id, { method: 'wallet', password });
    for (const wrong of ['111111', '222222', '333333', '444444', '555555']) await pays(wrong);
    expect(await pays('280193')).toMatchObject({ code: 'payment_password_locked' });
    expect(await attemptsOf(id)).toEqual([]);
    const begun = await sale.begins(buyer, id, { method: 'stripe' });
    await visit(begun.json['action']);
    await shop.simulators.stripe.pay(paymentReference(id, 1, 'stripe'));
    await sale.reaches({ buyer, id }, 'paid');
    expect((await sale.wallet(buyer)).balance).toBe(purse);
    expect(await sale.judged()).toMatchObject({ sold: 1, captured: price });
  });
});
