import { describe, expect, test } from 'vitest';
import { readCommand } from '../../src/config/config.ts';

const given = {
  FLASHDROP_PUBLIC_URL: 'https://shop.example',
  FLASHDROP_STRIPE_SECRET_KEY: 'sk_test_51Abc',
  FLASHDROP_STRIPE_WEBHOOK_SECRET: 'whsec_Abc',
};

function read(env: Record<string, string>) {
  const command = readCommand([], env);
  if (command.kind === 'run') return { stripe: command.config.payments.stripe, problems: [] };
  return { stripe: undefined, problems: command.kind === 'refused' ? command.problems : [] };
}

describe('Stripe is offered', () => {
  test('with its two secrets, at the address that Stripe publishes', () => {
    expect(read(given).stripe).toEqual({
      secretKey: 'sk_test_51Abc',
      webhookSecret: 'whsec_Abc',
      url: 'https://api.stripe.com',
    });
  });

  test('with a restricted key', () => {
    const { stripe } = read({ ...given, FLASHDROP_STRIPE_SECRET_KEY: 'rk_live_51Abc' });
    expect(stripe?.secretKey).toBe('rk_live_51Abc');
  });

  test('by nobody who set nothing of it', () => expect(read({})).toEqual({ problems: [] }));
});

describe('what is taken for one of the secrets is refused, and not shown', () => {
  test.each([
    ['the publishable key', { FLASHDROP_STRIPE_SECRET_KEY: 'pk_test_51Abc' }, /sk_… or rk_…/],
    ['the id of the endpoint', { FLASHDROP_STRIPE_WEBHOOK_SECRET: 'we_1Abc' }, /whsec_…/],
    ['a key with a line end', { FLASHDROP_STRIPE_SECRET_KEY: 'sk_test_51Abc\n' }, /sk_… or rk_…/],
  ])('%s', (_what, change, says) => {
    const { problems } = read({ ...given, ...change });
    expect(problems).toEqual([expect.stringMatching(says)]);
    expect(problems.join()).not.toContain(Object.values(change)[0]);
  });

  test('one of the two alone', () => {
    const { FLASHDROP_STRIPE_WEBHOOK_SECRET: _, ...half } = given;
    expect(read(half).problems).toEqual([
      expect.stringContaining('FLASHDROP_STRIPE_WEBHOOK_SECRET must be set too'),
    ]);
  });
});
