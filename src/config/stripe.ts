import { allOrNone, shortText } from './payments.ts';
import { type SettingsReader, url } from './settings.ts';

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
      secretKey: settings.read('FLASHDROP_STRIPE_SECRET_KEY', { ...shortText, secret: true }),
      webhookSecret: settings.read('FLASHDROP_STRIPE_WEBHOOK_SECRET', {
        ...shortText,
        secret: true,
      }),
    },
  );
  return own && { ...own, url: api ?? 'https://api.stripe.com' };
}
