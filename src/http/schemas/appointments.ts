import { z } from 'zod';
import { count, instant } from './fields.ts';

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

export const appointmentBody = z.strictObject({
  drop: z.string(),
  buyer: z.string(),
  madeAt: instant,
});

export const importedBody = z.strictObject({
  lines: count.describe('All lines, including blank ones and the header'),
  imported: count.describe('Appointments that are new'),
  already: count.describe('Buyers who had an appointment, or who come earlier in the list'),
  bad: count,
  badLines: z
    .array(z.strictObject({ line: z.int().min(1), reason: z.string() }))
    .describe('The first hundred bad lines'),
});
