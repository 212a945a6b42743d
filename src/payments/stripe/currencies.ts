import { isCurrency } from '../../domain/money.ts';

/**
 * Amounts are sent in ISO 4217 minor units, so only currencies are taken that Stripe counts in the
 * same (https://docs.stripe.com/currencies, "Minor units in API amounts" and "Special cases").
 * What an account may charge in beyond that is Stripe's to say.
 */
const countedOtherwise = new Set([
  // ISO has no minor unit, Stripe wants hundredths.
  'ISK',
  'UGX',
  // ISO has two digits, Stripe counts whole ariary.
  'MGA',
  // Three digits in both, but Stripe wants the last to be 0: not every amount can be charged.
  ...['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'],
  // Units of account with other digits, which Stripe does not have.
  ...['CLF', 'UYI', 'UYW'],
]);

export function takesCurrency(currency: string): boolean {
  return isCurrency(currency) && !countedOtherwise.has(currency);
}

/** As Stripe writes a currency, and as the engine does. */
export const toStripe = (currency: string) => currency.toLowerCase();
export const fromStripe = (currency: string) => currency.toUpperCase();
