import { z } from 'zod';
import { isCurrency } from '../../domain/money.ts';
import { orderStates } from '../../domain/order.ts';
import { decodeCursor } from '../../ledger/cursor.ts';

/** For `regex`: what neither SQL, nor a provider, nor a terminal should get to see. */
export const noControls = [/^[^\p{Cc}\p{Cs}]*$/u, 'must not hold control characters'] as const;

/** Text that people read: no control characters, no half of a surrogate pair, no blank ends. */
export function plainText(lengthMax: number) {
  return z
    .string()
    .min(1)
    .max(lengthMax)
    .regex(...noControls)
    .regex(/^\S(?:.*\S)?$|^$/su, 'must not begin or end with a blank');
}

export const sku = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, dashes or underscores');

/** The instants of the API: ISO 8601 with an offset. */
export const instant = z.iso.datetime({ offset: true });
export const currency = z.string().refine(isCurrency, 'must be an ISO 4217 code such as CNY');
export const minorUnits = z.int().min(0).describe("In the currency's minor unit");
export const orderState = z.enum(orderStates);
export const count = z.int().min(0);

/** Query parameters arrive as text. */
export const limit = z
  .string()
  .regex(/^\d{1,3}$/, 'must be a whole number from 1 to 200')
  .transform(Number)
  .refine((value) => value >= 1 && value <= 200, 'must be a whole number from 1 to 200')
  .optional();

export const cursor = z
  .string()
  .max(200)
  .refine((text) => decodeCursor(text) !== undefined, 'must be `next` of the page before')
  .optional()
  .describe('`next` of the page before');

/** For routes that take nothing: a field there would be a wish that nobody hears. */
export const nothing = z.strictObject({}).optional();

let isoAt = 0;
let isoText = '';

/** An epoch instant as the API writes it. A batch of orders shares its instant, so the last is kept. */
export function iso(atMs: number): string {
  if (atMs !== isoAt || isoText === '') {
    isoText = new Date(atMs).toISOString();
    isoAt = atMs;
  }
  return isoText;
}
