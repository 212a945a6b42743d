import { z } from 'zod';
import { decisions, dropStates } from '../../domain/drop.ts';
import { allotmentMax } from '../../inventory/lanes.ts';
import { shownWindowBody, windowBody } from './appointments.ts';
import { description, itemBody, lapsesMaxText, metadata, orderField } from './drop-definition.ts';
import { count, instant, minorUnits, plainText, sku } from './fields.ts';

const shownLapsesMax = z.int().nullable().describe(`${lapsesMaxText}; null: no such rule`);

const shownPerBuyer = z
  .int()
  .nullable()
  .describe('Units of all items together that one buyer may have; null: no such limit');

const shownPasswordAbove = minorUnits
  .nullable()
  .describe(
    'Above this amount the wallet needs the payment password; null: for no order of this drop',
  );

const shownFields = z.array(orderField).optional().describe('What a buyer gives with the Buy');

export const dropBody = z.strictObject({
  id: z.string(),
  title: z.string(),
  currency: z.string(),
  startsAt: instant,
  endsAt: instant,
  holdMs: z.int(),
  unpaidHoldMs: z
    .int()
    .nullable()
    .describe('The hold until the buyer begins the payment; null: holdMs'),
  lapsesMax: shownLapsesMax,
  lateCapture: z.enum(['retake', 'refund']),
  appointment: windowBody,
  passwordAbove: shownPasswordAbove,
  perBuyer: shownPerBuyer,
  lanes: z.int(),
  version: z.int().describe('Grows with each change that the lanes get; 0 while a draft'),
  revision: z.int().describe('Grows with each change; the ETag, for If-Match'),
  decision: z.enum(decisions),
  state: z.enum(dropStates),
  items: z.array(itemBody),
  paymentMethods: z
    .array(z.string())
    .optional()
    .describe('By which buyers may pay; by all that the engine offers when absent'),
  fields: shownFields,
  ...description,
  metadata: metadata.optional(),
});

export const dropsBody = z.strictObject({ drops: z.array(dropBody), next: z.string().optional() });

export const availability = z
  .enum(['available', 'few', 'all_held', 'sold_out'])
  .describe('`all_held` may become available again; `sold_out` is final unless stock is added');

/** What the public sees of a drop. */
export const cardBody = z.strictObject({
  id: z.string(),
  title: z.string(),
  state: z.enum(dropStates),
  serverTime: instant.describe("The engine's clock, which decides when the drop opens"),
  startsAt: instant,
  endsAt: instant,
  currency: z.string(),
  availability,
  appointment: shownWindowBody,
  passwordAbove: shownPasswordAbove,
  perBuyer: shownPerBuyer,
  lapsesMax: shownLapsesMax,
  paymentMethods: z
    .array(z.strictObject({ method: z.string(), scenes: z.array(z.string()) }))
    .describe('How this drop can be paid, each method with its scenes'),
  popularity: z
    .strictObject({ unitsTaken: count })
    .describe('Units held or sold so far, rounded down to two digits'),
  store: z.strictObject({
    name: z.string().nullable(),
    creditRating: z.number().nullable().describe('null until the store has been rated'),
  }),
  ...description,
  fields: shownFields,
  items: z.array(
    z.strictObject({
      sku,
      title: z.string(),
      ...description,
      unitAmount: minorUnits,
      perBuyer: z.int(),
      availability,
    }),
  ),
});

/** What a store has on sale. */
export const storeBody = z.strictObject({
  store: z.strictObject({ id: z.string(), name: z.string() }),
  drops: z.array(
    z.strictObject({
      id: z.string(),
      title: z.string(),
      ...description,
      startsAt: instant,
      endsAt: instant,
      currency: z.string(),
      items: z.array(
        z.strictObject({ sku, title: z.string(), ...description, unitAmount: minorUnits }),
      ),
    }),
  ),
});

export const adjustmentBody = z.strictObject({
  delta: z
    .int()
    .min(-allotmentMax)
    .max(allotmentMax)
    .refine((delta) => delta !== 0, 'must not be 0'),
  reason: plainText(200),
});

export const figuresBody = z.strictObject({
  available: count,
  held: count,
  sold: count,
  allotment: count,
});

export const adjustedBody = figuresBody.extend({ sku });
