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

describe('the settings of Stripe', () => {
  test('Stripe is offered with its two secrets, at the public URL of its API', () => {
    expect(read(given).stripe).toEqual({
      secretKey: 'sk_test_51Abc',
      webhookSecret: 'whsec_Abc',
      url: 'https://api.stripe.com',
    });
  });

  test('Stripe is offered with a restricted key', () => {
    const { stripe } = read({ ...given, FLASHDROP_STRIPE_SECRET_KEY: 'rk_live_51Abc' });
    expect(stripe?.secretKey).toBe('rk_live_51Abc');
  });

  test('A secret of Stripe is taken without the line end and quotes that were copied with it', () => {
    const { stripe } = read({
      ...given,
      FLASHDROP_STRIPE_SECRET_KEY: 'sk_test_51Abc\r\n',
      FLASHDROP_STRIPE_WEBHOOK_SECRET: '"whsec_Abc"',
    });
    expect(stripe).toMatchObject({ secretKey: 'sk_test_51Abc', webhookSecret: 'whsec_Abc' });
  });

  test('Stripe is not offered when nothing of it is set', () =>
    expect(read({})).toEqual({ problems: [] }));
});

describe('what is easily mistaken for a secret of Stripe', () => {
  test.each([
    ['the publishable key', { FLASHDROP_STRIPE_SECRET_KEY: 'pk_test_51Abc' }, /sk_… or rk_…/],
    ['the id of the endpoint', { FLASHDROP_STRIPE_WEBHOOK_SECRET: 'we_1Abc' }, /whsec_…/],
    ['a key with a blank in it', { FLASHDROP_STRIPE_SECRET_KEY: 'sk_test 51Abc' }, /sk_… or rk_…/],
  ])('In place of a secret of Stripe %s is refused and not shown', (_what, change, says) => {
    const { problems } = read({ ...given, ...change });
    expect(problems).toEqual([expect.stringMatching(says)]);
    expect(problems.join()).not.toContain(Object.values(change)[0]);
  });

  test('One secret of Stripe without the other is refused', () => {
    const { FLASHDROP_STRIPE_WEBHOOK_SECRET: _, ...half } = given;
    expect(read(half).problems).toEqual([
      expect.stringContaining('FLASHDROP_STRIPE_WEBHOOK_SECRET must be set too'),
    ]);
  });
});
