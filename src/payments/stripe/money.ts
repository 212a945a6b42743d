import { isCurrency } from '../../domain/money.ts';

/**
 * Currencies that Stripe counts in other units than the minor units of ISO 4217, which amounts are
 * sent in (https://docs.stripe.com/currencies, "Minor units in API amounts" and "Special cases").
 * Stripe itself refuses other currencies that an account may not charge in.
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

/** A currency as Stripe writes it, from how the engine writes it, and back. */
export const toStripe = (currency: string) => currency.toLowerCase();
export const fromStripe = (currency: string) => currency.toUpperCase();
