import { Stripe } from 'stripe';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Notification, PaymentProvider } from '../../src/payments/provider.ts';
import { eventually } from '../support/eventually.ts';
import { type SimulatedProvider, startSimulator } from '../support/simulators.ts';
import {
  type Letterbox,
  movedClock,
  newCharge,
  newRefund,
  only,
  openAtSimulator,
  openLetterbox,
} from './stripe-shop.ts';

let simulator: SimulatedProvider;
let stripe: PaymentProvider;
let letterbox: Letterbox;

beforeAll(async () => {
  simulator = await startSimulator('stripe');
});
afterAll(() => simulator.stop());
beforeEach(async () => {
  letterbox = await openLetterbox(() => stripe);
  stripe = openAtSimulator(simulator);
  await simulator.reaches(letterbox.url);
});

/** A charge that is paid, and whose message about it has come. */
async function paid(amount = 199_900) {
  const charge = newCharge({ amount });
  const { providerReference } = await only(stripe.start([charge]));
  await simulator.pay(charge.reference);
  await eventually(() => letterbox.read.length > 0);
  return { ...charge, providerReference };
}

describe('Genuine notifications', () => {
  test('A Stripe notification about a capture has the payment, its amount and the time it was sent', async () => {
    const charge = await paid(4_200);
    expect(letterbox.read).toEqual([
      {
        kind: 'verified',
        id: expect.stringMatching(/^evt_/),
        reference: charge.reference,
        sentAt: expect.any(Number),
        amount: 4_200,
        currency: 'CNY',
        about: 'checkout.session.completed',
      },
    ]);
    expect(Math.abs(Date.now() - sentAtOf(letterbox.read[0]))).toBeLessThan(5_000);
  });

  test('A Stripe notification about a refund has its payment', async () => {
    const charge = await paid();
    await stripe.refund([newRefund(charge, 1, 900)]);
    const told = await eventually(() => letterbox.read[1]);
    expect(told).toMatchObject({
      kind: 'verified',
      reference: charge.reference,
      amount: charge.amount,
      about: 'charge.refunded',
    });
  });

  test.each([
    ['decline', 'checkout.session.async_payment_failed'],
    ['close', 'checkout.session.expired'],
  ] as const)(
    'A Stripe notification about a payment that ended unpaid (%s) has that payment',
    async (act, about) => {
      const charge = newCharge();
      await stripe.start([charge]);
      await simulator[act](charge.reference);
      const told = await eventually(() => letterbox.read[0]);
      expect(told).toMatchObject({ kind: 'verified', reference: charge.reference, about });
    },
  );

  test('A Stripe notification repeated fifty times at once has one id', async () => {
    const { reference } = await paid();
    const answers = await simulator.notify({ reference, times: 50, parallel: true });
    expect(answers).toHaveLength(50);
    expect(
      answers.every(({ status, body }) => status === 200 && body === '{"received":true}'),
    ).toBe(true);
    expect(letterbox.read).toHaveLength(51);
    expect(new Set(letterbox.read.map((one) => one.kind === 'verified' && one.id)).size).toBe(1);
  });
});

describe('Forged notifications', () => {
  test.each([
    ['signature', 'signature'],
    ['reserialised', 'signature'],
    ['stale', 'stale'],
    ['other_merchant', 'other_merchant'],
  ] as const)(
    'A forged Stripe notification (%s) is refused with the reason %s',
    async (forge, reason) => {
      const { reference } = await paid();
      const [answer] = await simulator.notify({ reference, forge });
      expect(letterbox.read.at(-1)).toEqual({ kind: 'refused', reason });
      expect(answer?.status).toBe(400);
    },
  );

  // These have a valid signature: only the ledger, which knows the payment, can compare what they say.
  test('A signed Stripe notification of another amount, currency or order is read as it is, to be compared', async () => {
    const { reference, amount } = await paid();
    await simulator.notify({ reference, forge: 'other_amount' });
    expect(letterbox.read.at(-1)).toMatchObject({ reference, amount: amount + 1 });
    await simulator.notify({ reference, forge: 'other_currency' });
    expect(letterbox.read.at(-1)).toMatchObject({ reference, currency: 'EUR' });
    await simulator.notify({ reference, forge: 'unknown_order' });
    const strange = letterbox.read.at(-1);
    expect(strange).toMatchObject({
      kind: 'verified',
      reference: expect.stringMatching(/^fd[0-9a-f]{30}$/),
    });
    expect(strange).not.toMatchObject({ reference });
  });

  test('A Stripe notification from five minutes ahead is as stale as one from five minutes ago', async () => {
    const clock = movedClock();
    const { reference } = await paid();
    stripe = openAtSimulator(simulator, { clock });
    for (const [offsetMs, kind] of [
      [-310_000, 'refused'],
      [-290_000, 'verified'],
      [290_000, 'verified'],
      [310_000, 'refused'],
    ] as const) {
      clock.offsetMs = offsetMs;
      await simulator.notify({ reference });
      expect(letterbox.read.at(-1)).toMatchObject(
        kind === 'verified' ? { kind } : { kind, reason: 'stale' },
      );
    }
  });
});

describe('Notifications signed by the account itself', () => {
  const reference = newCharge().reference;
  const session = { object: 'checkout.session', client_reference_id: reference };

  test.each([
    ['of a type that is not followed', { type: 'customer.created' }],
    ['about a session of another program', session17('cart_17')],
    ['about a session without a reference', session17(null)],
    ['about a dispute of a payment of another program', { type: 'charge.dispute.created' }],
    [
      'of API v2, which has no object in it',
      { object: 'v2.core.event', type: 'v1.x', data: undefined },
    ],
  ])('A signed Stripe notification %s is ignored', async (_what, change) => {
    const read = await readSigned(event(change));
    expect(read.kind).toBe('ignored');
  });

  test.each([
    ['of the live world, for a test key', { livemode: true }],
    ['of a connected account', { account: 'acct_connected' }],
  ])('A signed Stripe notification %s is refused as another merchant’s', async (_what, change) => {
    expect(await readSigned(event(change))).toEqual({ kind: 'refused', reason: 'other_merchant' });
  });

  test('A Stripe notification about a changed refund has its payment, not the refund’s amount', async () => {
    const refund = { object: 'refund', amount: 5, currency: 'cny' };
    const metadata = { reference: `${reference}r12` };
    const read = await readSigned(
      event({ type: 'refund.updated', data: { object: { ...refund, metadata } } }),
    );
    expect(read).toMatchObject({ kind: 'verified', reference, currency: 'CNY' });
    expect(read).not.toHaveProperty('amount');
  });

  test.each([
    ['charge.dispute.created', 'dispute', { status: 'needs_response', reason: 'fraudulent' }],
    ['charge.dispute.closed', 'dispute', { status: 'lost', reason: 'product_not_received' }],
    [
      'radar.early_fraud_warning.created',
      'fraud_warning',
      { fraud_type: 'misc', actionable: true },
    ],
  ])(
    'A Stripe notification %s names the payment and raises an alarm',
    async (type, alarm, told) => {
      const own = await paid(4_200);
      const session = await stripe.lookUp([own]);
      expect(session).toMatchObject([{ kind: 'captured' }]);
      const intent = await intentOf(own.providerReference ?? '');
      const object = {
        id: 'dp_1',
        amount: 4_200,
        currency: 'cny',
        payment_intent: intent,
        ...told,
      };
      const read = await readSigned(event({ type, data: { object } }));
      expect(read).toMatchObject({
        kind: 'verified',
        reference: own.reference,
        about: type,
        alarm,
      });
      expect(read.kind === 'verified' && read.detail).toContain(Object.values(told)[0]);
    },
  );

  /** The payment intent of a session, as Stripe's dashboard shows it. */
  async function intentOf(session: string): Promise<string> {
    const authorization = `Bearer ${simulator.settings['FLASHDROP_STRIPE_SECRET_KEY']}`;
    const answer = await fetch(`${simulator.url}/v1/checkout/sessions/${session}`, {
      headers: { authorization },
    });
    const { payment_intent } = (await answer.json()) as { payment_intent: string };
    return payment_intent;
  }

  test.each(['', 'null', '[]', '{"id":1}', '{"id":"evt_1","type":"x","livemode":false}', '{'])(
    'A signed body that is not a Stripe event (%j) is malformed',
    async (body) => {
      const read = await readSigned(body);
      // An empty body cannot be signed.
      expect(read).toEqual({ kind: 'refused', reason: body === '' ? 'signature' : 'malformed' });
    },
  );

  test.each([
    ['without a header', () => undefined],
    ['that is empty', () => ''],
    ['without a time', (header: string) => header.replace(/^t=\d+,/, '')],
    ['with two times', (header: string) => `t=1,${header}`],
    ['of an older scheme', (header: string) => header.replace('v1=', 'v0=')],
  ])('A Stripe notification with a signature %s is refused', async (_what, change) => {
    const body = JSON.stringify(event({}));
    const header = change(signed(body));
    const read = await stripe.readNotification?.({
      headers: { 'stripe-signature': header },
      body: Buffer.from(body),
    });
    expect(read).toEqual({ kind: 'refused', reason: 'signature' });
  });

  function session17(client_reference_id: string | null) {
    return { data: { object: { object: 'checkout.session', client_reference_id } } };
  }

  function event(change: object) {
    return {
      id: 'evt_1',
      object: 'event',
      livemode: false,
      type: 'checkout.session.completed',
      data: { object: session },
      ...change,
    };
  }
});

test('The answer to a Stripe notification accepts, refuses or asks for a repeat', () => {
  const answers = (['taken', 'refused', 'unavailable'] as const).map((verdict) =>
    stripe.answerNotification?.(verdict),
  );
  expect(answers.map((answer) => answer?.status)).toEqual([200, 400, 503]);
  expect(answers[0]).toMatchObject({ contentType: 'application/json', body: '{"received":true}' });
});

function sentAtOf(notification: Notification | undefined): number {
  return notification?.kind === 'verified' ? notification.sentAt : 0;
}

/** Signed by Stripe's own library, with the simulated account's secret. */
function signed(payload: string): string {
  const secret = simulator.settings['FLASHDROP_STRIPE_WEBHOOK_SECRET'] ?? '';
  return Stripe.webhooks.generateTestHeaderString({ payload, secret });
}

async function readSigned(event: object | string): Promise<Notification> {
  const body = typeof event === 'string' ? event : JSON.stringify(event);
  const headers = { 'stripe-signature': signed(body || ' ') };
  const read = await stripe.readNotification?.({ headers, body: Buffer.from(body) });
  if (!read) throw new Error('Stripe reads no notifications');
  return read;
}
