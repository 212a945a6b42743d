/** ISO 4217 codes this runtime knows; amounts are integers in the currency's minor unit. */
const currencies = new Set(Intl.supportedValuesOf('currency'));

/** The largest amount one order may come to, in minor units: far below 2^53, so sums stay exact. */
export const orderAmountMax = 1_000_000_000_000;

export function isCurrency(code: string): boolean {
  return currencies.has(code);
}

/** Asserts what arithmetic on money and stock relies on: a safe integer, zero or more. */
export function assertWhole(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new Error(`bug: ${what} must be a whole number of zero or more, got ${value}`);
  }
  return value;
}
