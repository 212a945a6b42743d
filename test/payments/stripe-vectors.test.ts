import { describe, expect, test } from 'vitest';
import { signatureOf } from '../../simulators/stripe/events.ts';
import type { NotificationRefusal } from '../../src/payments/provider.ts';
import { openStripe } from '../../src/payments/stripe/stripe.ts';

/**
 * The fixed vector of Stripe's library for .NET (github.com/stripe/stripe-dotnet,
 * src/StripeTests: Resources/event_test_signature.json, Services/Events/EventUtilityTest.cs). Stripe's
 * library for Node tests with signatures that it makes itself.
 */
const vector = {
  secret: 'webhook_secret',
  signedAt: 1_533_204_620,
  v1: '2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7',
  v0: '63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef',
  body: `${JSON.stringify(
    {
      id: 'evt_123',
      object: 'event',
      account: 'acct_123',
      api_version: '2017-05-25',
      created: 1533204620,
      data: {
        object: {
          id: 'cus_123',
          object: 'customer',
          created: 123456789,
          email: 'test@stripe.com',
          livemode: false,
          metadata: {},
        },
      },
      livemode: false,
      pending_webhooks: 1,
      request: { id: 'req_123', idempotency_key: 'idempotency-key-123' },
      type: 'customer.created',
    },
    null,
    2,
  )}\n`,
};

async function read({
  body = vector.body,
  secret = vector.secret,
  v1 = vector.v1,
  now = vector.signedAt,
} = {}): Promise<NotificationRefusal | 'not refused'> {
  const stripe = openStripe({
    secretKey: 'sk_test_vector',
    webhookSecret: secret,
    url: 'https://api.stripe.com',
    returnUrl: 'https://shop.example',
    clock: { now: () => now * 1000 },
  });
  const signature = `t=${vector.signedAt},v1=${v1},v0=${vector.v0}`;
  const headers = { 'stripe-signature': signature };
  const notification = await stripe.readNotification?.({ headers, body: Buffer.from(body) });
  return notification?.kind === 'refused' ? notification.reason : 'not refused';
}

describe('The signature of a published Stripe event', () => {
  // It is of a connected account, which is looked at after the signature and the time.
  const verified = 'other_merchant';

  test('The signature of a published Stripe event verifies', async () =>
    expect(await read()).toBe(verified));

  test('The signature of a published Stripe event verifies for five minutes, and not from further ahead', async () => {
    expect(await read({ now: vector.signedAt + 300 })).toBe(verified);
    expect(await read({ now: vector.signedAt + 301 })).toBe('stale');
    expect(await read({ now: vector.signedAt - 300 })).toBe(verified);
    expect(await read({ now: vector.signedAt - 301 })).toBe('stale');
  });

  test('The signature of a published Stripe event does not verify other bytes, or with another secret', async () => {
    expect(await read({ body: vector.body.trimEnd() })).toBe('signature');
    expect(await read({ body: vector.body.replace('false', 'true ') })).toBe('signature');
    expect(await read({ secret: `${vector.secret}x` })).toBe('signature');
    expect(await read({ v1: vector.v0 })).toBe('signature');
  });

  test('The simulator signs a published Stripe event with the same signature', () => {
    const text = `${vector.signedAt}.${vector.body}`;
    expect(signatureOf(text, vector.secret)).toBe(vector.v1);
  });
});
