import { z } from 'zod';
import { isCurrency } from '../../domain/money.ts';
import { orderStates } from '../../domain/order.ts';
import { decodeCursor } from '../../ledger/cursor.ts';

/** For `regex`: SQL, providers and terminals must not get control characters or lone surrogates. */
export const noControls = [/^[^\p{Cc}\p{Cs}]*$/u, 'must not hold control characters'] as const;

/** Text for people: no control characters, no lone surrogates, no blanks at the ends. */
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
  .refine((text) => decodeCursor(text) !== undefined, 'must be `next` of the previous page')
  .optional()
  .describe('`next` of the previous page');

/** For routes without a body: a field that would be ignored is refused. */
export const nothing = z.strictObject({}).optional();

let isoAt = 0;
let isoText = '';

/** An instant (ms since the epoch) as ISO 8601. The last is cached: a batch of orders shares one. */
export function iso(atMs: number): string {
  if (atMs !== isoAt || isoText === '') {
    isoText = new Date(atMs).toISOString();
    isoAt = atMs;
  }
  return isoText;
}
