import { Stripe } from 'stripe';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BillLine, Charge, PaymentProvider, PaymentRef } from '../../src/payments/provider.ts';
import { createWithinMs, endOf } from '../../src/payments/stripe/session-requests.ts';
import { type SimulatedProvider, startSimulator } from '../support/simulators.ts';
import { movedClock, newCharge, newRefund, only, openAtSimulator } from './stripe-shop.ts';
import { serve } from './wechat-pay-stage.ts';

let simulator: SimulatedProvider;
let stripe: PaymentProvider;
const calm = { fail: 0, refuse: 0, hang: 0, slow: 0, captureAfterClose: 0 };

beforeAll(async () => {
  simulator = await startSimulator('stripe');
  stripe = openAtSimulator(simulator);
});
afterAll(() => simulator.stop());
beforeEach(() => simulator.faults(calm));

const minutes = 60_000;

/** A charge that the buyer has begun to pay, with the session's id. */
async function begun(change: Parameters<typeof newCharge>[0] = {}) {
  const charge = newCharge(change);
  const outcome = await only(stripe.start([charge]));
  expect(outcome.kind).toBe('pending');
  return { ...charge, providerReference: outcome.providerReference };
}

async function paid(change: Parameters<typeof newCharge>[0] = {}) {
  const charge = await begun(change);
  expect(await simulator.pay(charge.reference)).toBe('captured');
  return charge;
}

/** As of a payment whose first answer was lost. */
function withoutId({ reference, startedAt }: PaymentRef): PaymentRef {
  return { reference, startedAt };
}

function withoutProviderId(charge: Charge): Charge {
  return { ...charge, providerReference: undefined };
}

async function chargesOf(reference: string) {
  const { charges } = await simulator.book();
  return charges.filter((charge) => charge.reference.startsWith(reference));
}

describe('Starting', () => {
  test('A Stripe payment sends the buyer to a page of Stripe for exactly the amount', async () => {
    const charge = newCharge({ amount: 4_900, currency: 'JPY' });
    const outcome = await only(stripe.start([charge]));
    expect(outcome).toMatchObject({
      reference: charge.reference,
      kind: 'pending',
      action: { kind: 'redirect', url: `${simulator.url}/c/pay/${outcome.providerReference}` },
    });
    expect(await chargesOf(charge.reference)).toMatchObject([
      { amount: 4_900, currency: 'JPY', providerReference: outcome.providerReference },
    ]);
  });

  test('A repeated start at Stripe, also at once and by another process, is the same session', async () => {
    const charge = newCharge();
    const other = openAtSimulator(simulator);
    const outcomes = await Promise.all(
      [stripe, other, stripe, other].map((one) => only(one.start([charge]))),
    );
    expect(new Set(outcomes.map(({ providerReference }) => providerReference)).size).toBe(1);
    expect(await only(stripe.start([charge]))).toEqual(outcomes[0]);
    expect(await chargesOf(charge.reference)).toHaveLength(1);
  });

  test('A repeated start at Stripe after the buyer paid returns the capture, not the stored answer', async () => {
    const charge = await paid();
    expect(await only(stripe.start([charge]))).toMatchObject({
      kind: 'captured',
      amount: charge.amount,
    });
  });

  test('A start at Stripe without an answer is unknown, and its session is found without its id', async () => {
    const hasty = openAtSimulator(simulator, { timeoutMs: 200 });
    const charge = newCharge();
    await simulator.faults({ hang: 1 });
    expect(await only(hasty.start([charge]))).toEqual({
      reference: charge.reference,
      kind: 'unknown',
    });
    expect(await only(hasty.lookUp([charge]))).toEqual({
      reference: charge.reference,
      kind: 'unknown',
    });
    await simulator.faults(calm);
    const found = await only(stripe.lookUp([charge]));
    expect(found).toMatchObject({ kind: 'pending', action: { kind: 'redirect' } });
    expect(await only(stripe.start([charge]))).toEqual(found);
    expect(await chargesOf(charge.reference)).toHaveLength(1);
  });

  test('An error that Stripe repeats for the key does not hide the session that was created', async () => {
    const charge = newCharge();
    await simulator.faults({ fail: 1 });
    expect((await only(stripe.start([charge]))).kind).toBe('unknown');
    await simulator.faults(calm);
    const again = await only(stripe.start([charge]));
    expect(again).toMatchObject({ kind: 'pending', action: { kind: 'redirect' } });
    expect(await chargesOf(charge.reference)).toMatchObject([
      { providerReference: again.providerReference },
    ]);
  });

  test('An error that Stripe repeats without a session is final, since no buyer has an address to pay at', async () => {
    const charge = newCharge();
    // Made at a time where no session of this payment would be looked for.
    await simulator.clock(-10 * minutes);
    await simulator.faults({ fail: 1 });
    await stripe.start([charge]);
    await simulator.faults(calm);
    await simulator.clock(0);
    expect(await only(stripe.start([charge]))).toMatchObject({
      kind: 'declined',
      reason: 'declined',
    });
    expect(await only(stripe.close([charge]))).toMatchObject({
      kind: 'declined',
      reason: 'closed',
    });
  });

  test('A start that Stripe refuses before it runs can be repeated', async () => {
    const charge = newCharge();
    await simulator.faults({ refuse: 1 });
    expect((await only(stripe.start([charge]))).kind).toBe('unknown');
    await simulator.faults(calm);
    expect((await only(stripe.lookUp([charge]))).kind).toBe('none');
    expect((await only(stripe.start([charge]))).kind).toBe('pending');
  });

  test('An amount below Stripe’s minimum is declined, and the reason is logged', async () => {
    const told: string[] = [];
    const telling = openAtSimulator(simulator, { warn: (message) => told.push(message) });
    const charge = newCharge({ amount: 49, currency: 'USD' });
    expect(await only(telling.start([charge]))).toEqual({
      reference: charge.reference,
      kind: 'declined',
      reason: 'declined',
    });
    expect(told).toEqual([expect.stringContaining('amount_too_small')]);
  });

  test.each([
    ['is over', { expiresAt: Date.now() - 1 }],
    ['began too long ago', { startedAt: Date.now() - createWithinMs - 1 }],
  ])('A start at Stripe of a payment whose time %s answers closed', async (_why, change) => {
    const charge = newCharge(change);
    expect(await only(stripe.start([charge]))).toMatchObject({
      kind: 'declined',
      reason: 'closed',
    });
    expect(await chargesOf(charge.reference)).toEqual([]);
  });

  test('A Stripe payment that was begun in time is continued later, as long as it may be paid', async () => {
    const charge = await begun();
    const clock = movedClock();
    clock.offsetMs = createWithinMs + 1_000;
    const late = openAtSimulator(simulator, { clock });
    expect(await only(late.start([withoutProviderId(charge)]))).toMatchObject({
      kind: 'pending',
      providerReference: charge.providerReference,
    });
    expect(await simulator.pay(charge.reference)).toBe('captured');
  });

  test('The end of a Stripe session depends on the charge alone and is valid for Stripe however late', () => {
    const startedAt = Date.UTC(2026, 0, 1);
    for (const holdMs of [1, 10 * minutes, 60 * minutes, 24 * 60 * minutes, 90 * 60 * minutes]) {
      const end = endOf({ startedAt, expiresAt: startedAt + holdMs }) * 1000;
      expect(end - (startedAt + createWithinMs)).toBeGreaterThan(30 * minutes);
      expect(end - startedAt).toBeLessThan(24 * 60 * minutes);
      if (holdMs < 23 * 60 * minutes) expect(end).toBeGreaterThanOrEqual(startedAt + holdMs);
    }
  });
});

describe('Look-ups', () => {
  test('A look-up of a Stripe payment that was never begun answers none', async () => {
    expect((await only(stripe.lookUp([newCharge()]))).kind).toBe('none');
  });

  test('A session id that Stripe does not know is unknown, not none, since the account may be another', async () => {
    const strange = { ...newCharge(), providerReference: 'cs_test_of_another_account' };
    expect((await only(stripe.lookUp([strange]))).kind).toBe('unknown');
  });

  test('A Stripe payment that failed in the end is declined', async () => {
    const charge = await begun();
    await simulator.decline(charge.reference);
    expect(await only(stripe.lookUp([charge]))).toMatchObject({
      kind: 'declined',
      reason: 'declined',
    });
  });

  test('Hundreds of Stripe payments are found without their ids, each with its own outcome', async () => {
    const charges = Array.from({ length: 230 }, () => newCharge());
    const started = await stripe.start(charges);
    const ids = new Map(started.map((one) => [one.reference, one.providerReference]));
    await Promise.all(charges.slice(0, 20).map(({ reference }) => simulator.pay(reference)));
    const found = await stripe.lookUp(charges);
    expect(found.map(({ kind }) => kind)).toEqual(
      charges.map((_, at) => (at < 20 ? 'captured' : 'pending')),
    );
    for (const { reference, providerReference } of found) {
      expect(providerReference).toBe(ids.get(reference));
    }
  });

  test('Stripe payments of different days, and one whose session was created late, are found', async () => {
    const old = newCharge({ startedAt: Date.now() - 26 * 60 * minutes });
    const late = newCharge({ startedAt: Date.now() - 4 * minutes });
    const fresh = await begun();
    await stripe.start([late]);
    const found = await stripe.lookUp([fresh, old, late].map(withoutId));
    expect(found.map(({ reference, kind }) => [reference, kind])).toEqual([
      [fresh.reference, 'pending'],
      [old.reference, 'none'],
      [late.reference, 'pending'],
    ]);
  });

  test('A secret key that Stripe does not know is an error that names the setting, not an outcome', async () => {
    const stranger = openAtSimulator(simulator, { secretKey: 'sk_test_of_nobody' });
    await expect(stranger.start([newCharge()])).rejects.toThrow(/FLASHDROP_STRIPE_SECRET_KEY/);
    await expect(stranger.lookUp([newCharge()])).rejects.toThrow(/FLASHDROP_STRIPE_SECRET_KEY/);
  });
});

describe('Closing', () => {
  test('A closed Stripe payment is not captured afterwards', async () => {
    const charge = await begun();
    const closed = { kind: 'declined', reason: 'closed' };
    expect(await only(stripe.close([charge]))).toMatchObject(closed);
    expect(await simulator.pay(charge.reference)).toBe('refused');
    expect(await only(stripe.close([charge]))).toMatchObject(closed);
    expect(await only(stripe.start([charge]))).toMatchObject(closed);
  });

  test('A Stripe payment that was closed before it was begun cannot be begun afterwards', async () => {
    const charge = newCharge();
    const closed = { kind: 'declined', reason: 'closed' };
    expect(await only(stripe.close([charge]))).toMatchObject(closed);
    expect(await only(stripe.start([charge]))).toMatchObject(closed);
    expect(await only(stripe.lookUp([charge]))).toMatchObject(closed);
    expect(await chargesOf(charge.reference)).toEqual([]);
  });

  test('A start that is under way while a Stripe payment is closed creates no second session', async () => {
    const charge = newCharge();
    const [started, closed] = await Promise.all([
      only(stripe.start([charge])),
      only(stripe.close([charge])),
    ]);
    // Whichever came first, a second close has the last word.
    const isOpen = closed.kind === 'unknown' || closed.kind === 'pending';
    const settled = isOpen ? await only(stripe.close([charge])) : closed;
    expect(settled).toMatchObject({ kind: 'declined', reason: 'closed' });
    expect(['pending', 'declined']).toContain(started.kind);
    expect(await simulator.pay(charge.reference).catch(() => 'refused')).toBe('refused');
  });

  test('A Stripe payment that Stripe refuses to close and says is still open is pending, offers nothing, and is not unknown', async () => {
    const charge = await begun();
    const refusal = { type: 'invalid_request_error', message: 'It cannot be expired now.' };
    const url = await serve(async (request) => {
      const path = request.url ?? '';
      if (path.endsWith('/expire')) {
        return { status: 400, body: Buffer.from(JSON.stringify({ error: refusal })) };
      }
      const { authorization = '' } = request.headers;
      const answer = await fetch(`${simulator.url}${path}`, { headers: { authorization } });
      return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) };
    });
    const refused = openAtSimulator(simulator, { url });
    const { reference, providerReference } = charge;
    const stillOpen = { reference, providerReference, kind: 'pending', action: undefined };
    expect(await only(refused.close([charge]))).toEqual(stillOpen);
    // A start after the time to pay closes as well.
    const late = { ...charge, expiresAt: Date.now() };
    expect(await only(refused.start([late]))).toEqual(stillOpen);
  });

  test('When a Stripe payment is closed and paid at once, both sides have the same result', async () => {
    for (let round = 0; round < 20; round += 1) {
      const charge = await begun();
      const [closed, pressed] = await Promise.all([
        only(stripe.close([charge])),
        simulator.pay(charge.reference),
      ]);
      expect(closed.kind).toBe(pressed === 'captured' ? 'captured' : 'declined');
      expect((await only(stripe.lookUp([charge]))).kind).toBe(closed.kind);
    }
  });

  test('A capture at Stripe after the close is found', async () => {
    const charge = await begun();
    await stripe.close([charge]);
    await simulator.faults({ captureAfterClose: 1 });
    expect(await simulator.pay(charge.reference)).toBe('captured');
    expect((await only(stripe.close([charge]))).kind).toBe('captured');
  });
});

describe('Refunds', () => {
  test('Partial refunds and the rest are refunded at Stripe once each, however often they are requested', async () => {
    const charge = await paid();
    const [part, rest] = [newRefund(charge, 1, 50_000), newRefund(charge, 2, 149_900)];
    const first = await only(stripe.refund([part]));
    expect(first).toMatchObject({ kind: 'refunded', amount: 50_000 });
    expect(await only(stripe.refund([part]))).toEqual(first);
    expect(await only(stripe.lookUp([charge]))).toMatchObject({
      kind: 'captured',
      amount: 199_900,
      currency: 'CNY',
      refunded: 50_000,
    });
    expect(await only(stripe.refund([rest]))).toMatchObject({ kind: 'refunded', amount: 149_900 });
    const booked = await simulator.charge(charge.reference);
    expect(booked?.refunds.map(({ reference }) => reference)).toEqual([
      part.refundReference,
      rest.refundReference,
    ]);
  });

  test('A refund at Stripe of more than is left is refused with Stripe’s reason', async () => {
    const charge = await paid();
    const tooMuch = await only(stripe.refund([newRefund(charge, 1, charge.amount + 1)]));
    expect(tooMuch).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching('greater than unrefunded amount'),
    });
    await stripe.refund([newRefund(charge, 2, charge.amount)]);
    expect(await only(stripe.refund([newRefund(charge, 3, 1)]))).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching('charge_already_refunded'),
    });
  });

  test('An error that Stripe repeats for the key does not cause a second refund', async () => {
    const charge = await paid();
    const refund = newRefund(charge, 1, 1_000);
    const known = { ...refund, payment: charge };
    await simulator.faults({ fail: 1 });
    expect((await only(stripe.refund([known]))).kind).toBe('unknown');
    await simulator.faults(calm);
    expect(await only(stripe.refund([known]))).toMatchObject({ kind: 'refunded', amount: 1_000 });
    expect((await simulator.charge(charge.reference))?.refunds).toHaveLength(1);
  });

  test('A refund whose key Stripe no longer knows is found by its reference', async () => {
    const charge = await paid();
    const refund = newRefund(charge, 1, 1_000);
    // As the day after: the same refund under a key that is not the engine's any more.
    const client = clientOf(simulator);
    const { payment_intent } = await client.checkout.sessions.retrieve(
      charge.providerReference ?? '',
    );
    const done = await client.refunds.create({
      payment_intent: String(payment_intent),
      amount: 1_000,
      metadata: { reference: refund.refundReference },
    });
    expect(await only(stripe.refund([refund]))).toEqual({
      refundReference: refund.refundReference,
      providerReference: done.id,
      kind: 'refunded',
      amount: 1_000,
    });
    expect((await simulator.charge(charge.reference))?.refunds).toHaveLength(1);
  });

  test('A Stripe payment that was never paid is not refunded', async () => {
    const [unpaid, unheard] = [await begun(), newCharge()];
    const outcomes = await stripe.refund([newRefund(unpaid, 1, 1), newRefund(unheard, 1, 1)]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['failed', 'failed']);
  });
});

describe('The bill', () => {
  test('The Stripe bill lists each capture and refund of the requested time, by our references', async () => {
    const from = Date.now() - (Date.now() % 1000);
    const charges = await Promise.all([paid({ amount: 700 }), paid({ amount: 800 }), begun()]);
    const refund = newRefund(charges[0], 1, 300);
    await stripe.refund([refund]);
    const lines = await billed({ from, until: Date.now() + 2_000 });
    const own = lines.filter(({ reference }) =>
      charges.some((charge) => reference.startsWith(charge.reference)),
    );
    expect(own.map(({ kind, reference, amount }) => ({ kind, reference, amount })).sort(byAmount))
      // The one that was not paid is not in it.
      .toEqual([
        { kind: 'refund', reference: refund.refundReference, amount: 300 },
        { kind: 'capture', reference: charges[0].reference, amount: 700 },
        { kind: 'capture', reference: charges[1].reference, amount: 800 },
      ]);
    expect(own.every(({ currency, at }) => currency === 'CNY' && at >= from)).toBe(true);
    expect(await billed({ from: from - 60 * minutes, until: from - 59 * minutes })).toEqual([]);
  });

  test('The Stripe bill is read to its end over many pages', async () => {
    const charges = Array.from({ length: 120 }, () => newCharge());
    await stripe.start(charges);
    await Promise.all(charges.map(({ reference }) => simulator.pay(reference)));
    const listed = new Set((await billed()).map(({ reference }) => reference));
    expect(charges.filter(({ reference }) => !listed.has(reference))).toEqual([]);
  });

  async function billed(window = { from: 0, until: Date.now() + 2_000 }): Promise<BillLine[]> {
    const lines: BillLine[] = [];
    for await (const line of stripe.bill?.(window) ?? []) lines.push(line);
    return lines;
  }

  const byAmount = (one: { amount: number }, other: { amount: number }) =>
    one.amount - other.amount;
});

describe('Currencies and addresses', () => {
  test.each(['USD', 'EUR', 'CNY', 'HUF', 'TWD', 'JPY', 'KRW', 'VND', 'XAF'])(
    'Stripe takes %s, whose minor unit is that of ISO 4217',
    (currency) => expect(stripe.takes(currency)).toBe(true),
  );

  test.each(['ISK', 'UGX', 'MGA', 'KWD', 'TND', 'CLF', 'XXY', 'usd', ''])(
    'Stripe does not take "%s": its minor unit is not that of ISO 4217, or it does not exist',
    (currency) => expect(stripe.takes(currency)).toBe(false),
  );

  test('The return address of a Stripe payment must be a web address', () => {
    const returnUrl = 'https://shop.example/back';
    expect(stripe.refuseWish?.({ returnUrl, scene: '' })).toBeUndefined();
    for (const returnUrl of [
      'shop.example',
      'javascript:alert(1)',
      `https://a/${'x'.repeat(3e3)}`,
    ]) {
      expect(stripe.refuseWish?.({ returnUrl })).toMatchObject({ field: 'returnUrl' });
    }
  });
});

test('A hold of less than half an hour is ended at Stripe by closing, since a session lasts that long at least', async () => {
  const clock = movedClock();
  const charge = await begun({ expiresAt: Date.now() + minutes });
  const booked = await simulator.charge(charge.reference);
  expect((booked?.expiresAt ?? 0) - charge.startedAt).toBeGreaterThan(30 * minutes);
  clock.offsetMs = 2 * minutes;
  const late = openAtSimulator(simulator, { clock });
  expect(await only(late.start([charge]))).toMatchObject({ kind: 'declined', reason: 'closed' });
  expect(await simulator.pay(charge.reference)).toBe('refused');
});

/** Stripe's library as another program of the same account uses it. */
function clientOf({ settings, url }: SimulatedProvider): Stripe {
  const { hostname, port } = new URL(url);
  return new Stripe(settings['FLASHDROP_STRIPE_SECRET_KEY'] ?? '', {
    host: hostname,
    port,
    protocol: 'http',
    telemetry: false,
    maxNetworkRetries: 0,
  });
}

test.each([
  ['USD', 99_999_999, true],
  ['USD', 100_000_000, false],
  ['USD', 49, false],
  ['USD', 50, true],
  ['USD', 0, true],
  ['JPY', 49, false],
  ['CNY', 100_000_000, false],
  ['IDR', 100_000_000, true],
  ['IDR', 999_999_999_999, true],
  ['IDR', 1_000_000_000_000, false],
  ['ISK', 1_000, false],
])('Whether Stripe is offered for %s %i is known before the Buy: %s', (currency, amount, taken) => {
  expect(stripe.takes(currency, amount)).toBe(taken);
  expect(stripe.takes(currency)).toBe(currency !== 'ISK');
});
