import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Forgery } from '../../simulators/protocol.ts';
import { eventually } from '../support/eventually.ts';
import { openShop, providerNames, type Shop, type ShopSale } from '../support/shop.ts';

let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
});
afterAll(() => shop?.stop());

/** How each forgery is counted; a currency is nothing that Alipay's messages have. */
const reasons: Partial<Record<Forgery, string>> = {
  signature: 'signature',
  reserialised: 'signature',
  stale: 'stale',
  other_merchant: 'other_merchant',
  other_amount: 'other_amount',
  other_currency: 'other_currency',
  unknown_order: 'unknown_order',
  oversized: 'oversized',
};

describe.each(providerNames)('Notifications in the name of %s', (name) => {
  const provider = () => shop.simulators[name];
  let sale: ShopSale;
  let order: Awaited<ReturnType<ShopSale['opens']>>;
  beforeAll(async () => {
    sale = await shop.sale({ units: 2, perBuyer: 2 });
    order = await sale.opens(name);
    await shop.rests(order.id);
  });

  /** All that a message could move: the payment, what was told of it, the order, the units. */
  async function state() {
    const { payments, database } = shop.engine.ledger;
    const found = await payments.ofOrders([order.id]);
    return {
      // The provider's own id is learned from a look-up that may be under way, never from a message.
      payments: found.map(({ providerReference: _, ...payment }) => payment),
      told: await database.query('select * from notifications where provider = $1', [name]),
      order: await sale.order(order.buyer, order.id),
      units: await sale.figures(),
    };
  }

  const forgeries = (Object.keys(reasons) as Forgery[]).filter(
    (forge) => name !== 'alipay' || forge !== 'other_currency',
  );
  test.each(forgeries)(
    'A forged notification is refused, counted and changes nothing: %s',
    async (forge) => {
      const reason = reasons[forge] as string;
      const [before, counted] = [await state(), await shop.notified(name, reason)];
      const answers = await provider().notify({
        reference: order.reference,
        kind: 'captured',
        forge,
        times: 3,
      });
      // A connection that is cut in the middle of a body far too large is a refusal, too.
      for (const { status } of answers) {
        if (forge === 'oversized') expect([0, 413]).toContain(status);
        else expect([400, 401]).toContain(status);
      }
      await eventually(async () => (await shop.notified(name, reason)) === counted + 3);
      expect(await state()).toEqual(before);
    },
  );

  test('A notification signed by another provider is refused', async () => {
    const before = await state();
    const answer = await fetch(`${shop.address}/v1/payments/${name}/notifications`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"id":"evt_1"}',
    });
    expect([400, 401]).toContain(answer.status);
    expect(await state()).toEqual(before);
  });

  test('A signed notification of a payment that nobody made is acknowledged, the provider is asked, and nothing is paid', async () => {
    const answers = await provider().notify({ reference: order.reference, kind: 'captured' });
    expect(answers.map(({ status }) => status)).toEqual([name === 'wechat_pay' ? 204 : 200]);
    const looked = async () => {
      const [payment] = await shop.engine.ledger.payments.ofOrders([order.id]);
      return payment && payment.nextPollAt !== null && payment.nextPollAt > Date.now();
    };
    await eventually(looked);
    expect(await sale.order(order.buyer, order.id)).toMatchObject({ state: 'reserved' });
    expect((await shop.engine.ledger.payments.ofOrders([order.id]))[0]).toMatchObject({
      state: 'started',
      amountCaptured: 0,
    });
  });

  test('A genuine notification that is sent again after its order has ended changes nothing', async () => {
    await provider().pay(order.reference);
    await sale.reaches(order, 'paid');
    await eventually(async () => (await state()).payments[0]?.nextPollAt === null);
    const before = await state();
    const answers = await provider().notify({
      reference: order.reference,
      kind: 'captured',
      times: 5,
    });
    expect(new Set(answers.map(({ status }) => status)).size).toBe(1);
    await eventually(async () => (await state()).payments[0]?.nextPollAt === null);
    const after = await state();
    expect({ ...after, told: [] }).toEqual({ ...before, told: [] });
    await sale.judged();
  });
});

test('A notification for an unknown provider is refused, however large it is, and is not counted', async () => {
  const { port } = new URL(shop.address);
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1');
    let text = '';
    socket.on('data', (part) => {
      text += part;
      socket.end();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
    socket.write(
      'POST /v1/payments/nobody/notifications HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n' +
        'content-length: 9000000\r\n\r\n',
    );
  });
  expect(answer).toMatch(/^HTTP\/1.1 413 /);
  const small = await fetch(`${shop.address}/v1/payments/nobody/notifications`, { method: 'POST' });
  expect(small.status).toBe(404);
  expect(await shop.engine.deps.metrics.text()).not.toContain('nobody');
});
