import { z } from 'zod';
import { isBuyerName } from '../auth/claims.ts';
import { count, instant, limit } from './fields.ts';

/** The window of a new drop; by default from now until the drop opens. */
export const newWindowBody = z
  .strictObject({ from: instant.optional(), until: instant.optional() })
  .describe('Only buyers with an appointment can buy; they make it in this window');

/** The window of a drop that needs an appointment, null where none is needed. */
export const windowBody = z
  .strictObject({ required: z.literal(true), from: instant, until: instant })
  .nullable();

export const shownWindowBody = z
  .strictObject({
    required: z.literal(true),
    from: instant,
    until: instant,
    count: count.describe('Appointments made so far, rounded down to two digits'),
  })
  .nullable();

/** `next` of a list of appointments. */
export const buyerCursor = z
  .string()
  .max(400)
  .transform((text) => Buffer.from(text, 'base64url').toString())
  .refine(isBuyerName, 'must be `next` of the previous page')
  .optional()
  .describe('`next` of the previous page');

export const appointmentsQuery = z.strictObject({
  limit,
  cursor: buyerCursor,
  format: z.enum(['json', 'csv']).optional(),
});

export const appointmentsBody = z.strictObject({
  appointments: z.array(z.strictObject({ buyer: z.string(), madeAt: instant })),
  next: z.string().optional(),
});

export const removedBody = z.strictObject({
  removed: count.describe('Appointments that there were until now'),
});

export const appointmentBody = z.strictObject({
  drop: z.string(),
  buyer: z.string(),
  madeAt: instant,
});

export const importQuery = z.strictObject({
  column: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe(
      'The column that has the buyers, or the member of each NDJSON object; a number from 1 where there is no header',
    ),
  header: z
    .enum(['present', 'absent'])
    .optional()
    .describe('Whether the first line of CSV is a header; found out when it is not given'),
  dryRun: z
    .enum(['true', 'false'])
    .optional()
    .describe('`true` reads and counts, and imports nothing'),
});

export const importedBody = z.strictObject({
  dryRun: z
    .literal(true)
    .optional()
    .describe('Nothing was imported: `imported` is what would be new'),
  lines: count.describe('All lines, including blank ones and the header'),
  imported: count.describe('Appointments that are new'),
  already: count.describe('Buyers who had an appointment, or who come earlier in the list'),
  bad: count,
  badLines: z
    .array(z.strictObject({ line: z.int().min(1), reason: z.string() }))
    .describe('The first hundred bad lines'),
});
