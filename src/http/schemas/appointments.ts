import { z } from 'zod';
import { count, instant } from './fields.ts';

/** A window as a draft gives it; what is left out is from now on, until the drop opens. */
export const newWindowBody = z
  .strictObject({ from: instant.optional(), until: instant.optional() })
  .describe('Only buyers with an appointment may buy; they make it in this window');

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
  lines: count.describe('All lines, blank ones and the header included'),
  imported: count.describe('Appointments that are new'),
  already: count.describe('Buyers who had one, or who stand in the list before'),
  bad: count,
  badLines: z
    .array(z.strictObject({ line: z.int().min(1), reason: z.string() }))
    .describe('The first hundred'),
});
