import { allOrNone } from './provider-settings.ts';
import { matching, type SettingsReader, url } from './settings.ts';

export type StripeSettings = {
  secretKey: string;
  webhookSecret: string;
  /** Base URL of Stripe's API. */
  url: string;
};

export function readStripe(settings: SettingsReader): StripeSettings | undefined {
  const api = settings.read('FLASHDROP_STRIPE_URL', url('https', 'http'));
  const own = allOrNone<Omit<StripeSettings, 'url'>>(
    settings,
    { secretKey: 'FLASHDROP_STRIPE_SECRET_KEY', webhookSecret: 'FLASHDROP_STRIPE_WEBHOOK_SECRET' },
    {
      secretKey: settings.read('FLASHDROP_STRIPE_SECRET_KEY', { ...secretKey, secret: true }),
      webhookSecret: settings.read('FLASHDROP_STRIPE_WEBHOOK_SECRET', {
        ...webhookSecret,
        secret: true,
      }),
    },
  );
  return own && { ...own, url: api ?? 'https://api.stripe.com' };
}

/** The prefixes are checked since a publishable key (`pk_…`) or endpoint id (`we_…`) is easily pasted instead. */
const secretKey = matching(
  'a secret or restricted key (sk_… or rk_…)',
  /^[sr]k_[\x21-\x7e]{1,250}$/,
);
const webhookSecret = matching(
  "the endpoint's signing secret (whsec_…)",
  /^whsec_[\x21-\x7e]{1,250}$/,
);
