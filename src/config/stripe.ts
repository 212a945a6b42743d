import { allOrNone } from './provider-settings.ts';
import { matching, type SettingsReader, url } from './settings.ts';

export type StripeSettings = {
  secretKey: string;
  webhookSecret: string;
  /** Where Stripe's API is. */
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

/** The publishable key (`pk_…`) and the id of the endpoint (`we_…`) are easily taken for these. */
const secretKey = matching(
  'a secret or restricted key (sk_… or rk_…)',
  /^[sr]k_[\x21-\x7e]{1,250}$/,
);
const webhookSecret = matching(
  "the endpoint's signing secret (whsec_…)",
  /^whsec_[\x21-\x7e]{1,250}$/,
);
