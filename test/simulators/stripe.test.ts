import { Stripe } from 'stripe';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type SimulatedProvider, startSimulator } from '../support/simulators.ts';
import { startListener } from './tiny-protocol.ts';

// What Stripe's documents say of its API, tried with Stripe's own library.

let simulator: SimulatedProvider;
let stripe: Stripe;
let count = 0;

beforeAll(async () => {
  simulator = await startSimulator('stripe');
  stripe = open(simulator.settings['FLASHDROP_STRIPE_SECRET_KEY'] ?? '');
});
afterAll(() => simulator.stop());

function open(secretKey: string): Stripe {
  const { hostname, port } = new URL(simulator.url);
  return new Stripe(secretKey, {
    host: hostname,
    port,
    protocol: 'http',
    telemetry: false,
    maxNetworkRetries: 0,
  });
}

function request(change: Partial<Stripe.Checkout.SessionCreateParams> = {}) {
  count += 1;
  return {
    mode: 'payment' as const,
    client_reference_id: `fd${String(count).padStart(30, '0')}`,
    line_items: [item(1_000, 'usd')],
    success_url: 'http://127.0.0.1:9/back',
    ...change,
  };
}

function item(unit_amount: number, currency: string, name = 'A phone') {
  return { quantity: 1, price_data: { currency, unit_amount, product_data: { name } } };
}

const inMinutes = (minutes: number) => Math.floor(Date.now() / 1000) + minutes * 60;

async function refusalOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Stripe.errors.StripeError)) throw new Error('it was not refused');
  return { status: error.statusCode, type: error.rawType, code: error.code, param: error.param };
}

describe('a simulated Checkout Session', () => {
  test.each([
    ['that ends in less than half an hour', { expires_at: inMinutes(29) }, 'expires_at'],
    ['that ends in more than a day', { expires_at: inMinutes(24 * 60 + 5) }, 'expires_at'],
    ['without an address to go back to', { success_url: '' }, 'success_url'],
    ['to go back to no web address', { success_url: 'ftp://shop' }, 'success_url'],
    ['without a thing to pay for', { line_items: [] }, 'line_items'],
  ])('%s is refused', async (_what, change, param) => {
    expect(await refusalOf(stripe.checkout.sessions.create(request(change)))).toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      param,
    });
  });

  test.each([
    ['amount_too_small', item(49, 'usd')],
    ['amount_too_small', item(399, 'hkd')],
    ['amount_too_large', item(100_000_000, 'usd')],
  ])('is refused as %s beyond what Stripe charges', async (code, line) => {
    const refused = await refusalOf(
      stripe.checkout.sessions.create(request({ line_items: [line] })),
    );
    expect(refused).toMatchObject({ status: 400, code });
  });

  test('is refused parameters that Stripe has not', async () => {
    const strange = { ...request(), payment_method_types: ['card'] };
    expect(await refusalOf(stripe.checkout.sessions.create(strange))).toMatchObject({
      code: 'parameter_unknown',
      param: 'payment_method_types',
    });
  });

  test('goes from open to complete, with a payment intent only once it is paid', async () => {
    const open = await stripe.checkout.sessions.create(request());
    expect(open).toMatchObject({ status: 'open', payment_status: 'unpaid', payment_intent: null });
    await simulator.pay(open.client_reference_id ?? '');
    const done = await stripe.checkout.sessions.retrieve(open.id, {
      expand: ['payment_intent.latest_charge'],
    });
    expect(done).toMatchObject({
      status: 'complete',
      payment_status: 'paid',
      url: null,
      payment_intent: { status: 'succeeded', latest_charge: { amount: 1_000, captured: true } },
    });
    expect(await refusalOf(stripe.checkout.sessions.expire(open.id))).toMatchObject({
      status: 400,
    });
  });

  test('is made twice for one reference when asked under two keys, and both can be paid', async () => {
    const twice = request();
    const [one, other] = [
      await stripe.checkout.sessions.create(twice, { idempotencyKey: 'a' }),
      await stripe.checkout.sessions.create(twice, { idempotencyKey: 'b' }),
    ];
    expect(one.id).not.toBe(other.id);
    expect(
      (await simulator.book()).charges.filter(({ providerReference }) =>
        [one.id, other.id].includes(providerReference),
      ),
    ).toHaveLength(2);
  });

  test('shows a person its page, with what it says written out', async () => {
    const shown = request({ line_items: [item(1_000, 'usd', '<script>alert(1)</script>')] });
    const { url } = await stripe.checkout.sessions.create(shown);
    const page = await (await fetch(url ?? '')).text();
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page).not.toContain('<script>alert');
    expect(page).toContain('data-act="pay"');
    await simulator.pay(shown.client_reference_id);
    expect(await (await fetch(url ?? '')).text()).toContain('This session is complete');
  });
});

describe('simulated idempotency', () => {
  test('gives the first answer again, and says so', async () => {
    const options = { idempotencyKey: 'again' };
    const asked = request();
    const first = await stripe.checkout.sessions.create(asked, options);
    const again = await stripe.checkout.sessions.create(asked, options);
    expect(again).toEqual(first);
    expect(first.lastResponse.headers['idempotent-replayed']).toBeUndefined();
    expect(again.lastResponse.headers['idempotent-replayed']).toBe('true');
  });

  test('refuses other parameters and other endpoints under a key', async () => {
    const options = { idempotencyKey: 'other' };
    await stripe.checkout.sessions.create(request(), options);
    const reused = { status: 400, type: 'idempotency_error' };
    expect(await refusalOf(stripe.checkout.sessions.create(request(), options))).toMatchObject(
      reused,
    );
    expect(
      await refusalOf(stripe.refunds.create({ payment_intent: 'pi_1' }, options)),
    ).toMatchObject(reused);
  });

  test('keeps no request whose parameters did not validate', async () => {
    const options = { idempotencyKey: 'corrected' };
    const bad = request({ expires_at: inMinutes(1) });
    await refusalOf(stripe.checkout.sessions.create(bad, options));
    const { expires_at: _, ...good } = bad;
    expect((await stripe.checkout.sessions.create(good, options)).status).toBe('open');
  });

  test('repeats a failure under its key, and says so', async () => {
    const options = { idempotencyKey: 'failed' };
    const asked = request();
    await simulator.faults({ fail: 1 });
    const first = await stripe.checkout.sessions.create(asked, options).catch(headersOf);
    await simulator.faults({ fail: 0 });
    const again = await stripe.checkout.sessions.create(asked, options).catch(headersOf);
    expect(first).toMatchObject({ status: 500, replayed: undefined });
    expect(again).toMatchObject({ status: 500, replayed: 'true' });
  });

  function headersOf(error: { statusCode: number; headers: Record<string, string> }) {
    return { status: error.statusCode, replayed: error.headers['idempotent-replayed'] };
  }
});

test('another key than the account’s opens nothing', async () => {
  const stranger = open('sk_test_of_somebody_else');
  expect(await refusalOf(stranger.checkout.sessions.list())).toMatchObject({ status: 401 });
  expect((await fetch(`${simulator.url}/v1/refunds`)).status).toBe(401);
});

test('lists are pages of the newest first', async () => {
  const made: { id: string }[] = [];
  for (let nth = 0; nth < 5; nth += 1) made.push(await stripe.checkout.sessions.create(request()));
  const ids = made.map(({ id }) => id).reverse();
  const first = await stripe.checkout.sessions.list({ limit: 2 });
  expect(first).toMatchObject({ has_more: true });
  expect(first.data.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  const next = await stripe.checkout.sessions.list({ limit: 3, starting_after: ids[1] as string });
  expect(next.data.map(({ id }) => id)).toEqual(ids.slice(2));
  expect((await stripe.checkout.sessions.list({ created: { lt: 1 } })).data).toEqual([]);
});

test('A simulated Stripe tells the public URL it was started with, wherever the buyer goes back to', async () => {
  const engine = await startListener();
  const shop = await startListener();
  const publicUrl = new URL(engine.url).origin;
  const own = await startSimulator('stripe', { publicUrl });
  const { hostname, port } = new URL(own.url);
  const client = new Stripe(own.settings['FLASHDROP_STRIPE_SECRET_KEY'] ?? '', {
    host: hostname,
    port,
    protocol: 'http',
    telemetry: false,
  });
  const asked = request({ success_url: shop.url, cancel_url: shop.url });
  await client.checkout.sessions.create(asked);
  await own.pay(asked.client_reference_id);
  await eventually(() => engine.heard.length === 1);
  expect(shop.heard).toEqual([]);
});
