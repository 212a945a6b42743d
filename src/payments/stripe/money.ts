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

/**
 * The smallest amounts that Stripe charges, in minor units, where it names them for the currency
 * (https://docs.stripe.com/currencies, "Minimum and maximum charge amounts"). It also refuses what comes to
 * less than the minimum of the account's own currency, which cannot be known here.
 */
const amountsMin: Readonly<Record<string, number>> = {
  ...{ AED: 200, AUD: 50, BGN: 100, BRL: 50, CAD: 50, CHF: 50, CZK: 1_500, DKK: 250, EUR: 50 },
  ...{ GBP: 30, HKD: 400, HUF: 17_500, INR: 50, JPY: 50, MXN: 1_000, MYR: 200, NOK: 300, NZD: 50 },
  ...{ PLN: 200, RON: 200, SEK: 300, SGD: 50, THB: 1_000, USD: 50 },
};
/** Stripe takes eight digits, and twelve in rupiah (the same page). */
const amountMax = 99_999_999;
const amountsMax: Readonly<Record<string, number>> = { IDR: 999_999_999_999 };

/** Whether Stripe takes a currency, and in it a payment of this amount; one of 0 needs no payment. */
export function takes(currency: string, amount = 0): boolean {
  if (!isCurrency(currency) || countedOtherwise.has(currency)) return false;
  if (amount === 0) return true;
  return amount >= (amountsMin[currency] ?? 1) && amount <= (amountsMax[currency] ?? amountMax);
}

/** A currency as Stripe writes it, from how the engine writes it, and back. */
export const toStripe = (currency: string) => currency.toLowerCase();
export const fromStripe = (currency: string) => currency.toUpperCase();
