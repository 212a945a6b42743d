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

/** The same over several lines, which \n ends. */
export function multilineText(lengthMax: number) {
  return z
    .string()
    .min(1)
    .max(lengthMax)
    .regex(/^(?:[^\p{Cc}\p{Cs}]|\n)*$/u, 'must not hold control characters other than line breaks')
    .regex(/^\S(?:.*\S)?$|^$/su, 'must not begin or end with a blank');
}

/** An address that pages may show: https alone, without what could end an attribute of HTML. */
export const webLink = z
  .string()
  .max(2_048)
  .refine(isWebLink, 'must be an https address without blanks, quotes, < > or a user name');

function isWebLink(text: string): boolean {
  if (!/^https:\/\/[^\s\p{Cc}\p{Cs}"'`<>\\]+$/u.test(text) || !URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return protocol === 'https:' && username === '' && password === '';
}

/** A client's own names and texts, within the bounds that Stripe sets for `metadata`. */
export const stringMap = textMap({ namesMax: 50, nameMax: 40, textMax: 500 });

type MapBounds = { namesMax: number; nameMax: number; textMax: number };

/** An object of texts. */
export function textMap(bounds: MapBounds) {
  const { namesMax, nameMax, textMax } = bounds;
  return (
    z
      .custom<Record<string, string>>(isMap, { error: 'must be an object of texts', abort: true })
      // Read entry by entry: z.record leaves the name `__proto__` out in silence.
      .superRefine((map, context) => {
        const entries = Object.entries(map);
        if (entries.length > namesMax) {
          context.addIssue({ code: 'custom', message: `must hold at most ${namesMax} names` });
        }
        for (const [name, text] of entries.slice(0, namesMax)) {
          const message = faultOfEntry(name, text, bounds);
          if (message) context.addIssue({ code: 'custom', path: [name], message });
        }
      })
      .meta({
        type: 'object',
        maxProperties: namesMax,
        propertyNames: { minLength: 1, maxLength: nameMax },
        additionalProperties: { type: 'string', maxLength: textMax },
      })
  );
}

function isMap(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function faultOfEntry(name: string, text: unknown, { nameMax, textMax }: MapBounds) {
  if (name.length < 1 || name.length > nameMax || !/^[^\p{Cc}\p{Cs}[\]]*$/u.test(name)) {
    return `must have a name of 1 to ${nameMax} characters, without control characters and brackets`;
  }
  if (name === '__proto__') return 'is not a name that can be kept';
  if (typeof text !== 'string') return 'must be a text';
  if (text.length > textMax) return `must have at most ${textMax} characters`;
  // Line breaks and tabs are kept; PostgreSQL keeps no NUL, and JSON no lone surrogate.
  const isKept = /^(?:[^\p{Cc}\p{Cs}]|[\n\r\t])*$/u.test(text);
  return isKept ? undefined : 'must not hold control characters';
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
