import { z } from 'zod';
import { decisions, dropStates } from '../../domain/drop.ts';
import { orderAmountMax } from '../../domain/money.ts';
import { appointmentWindow } from '../../drops/drafts.ts';
import { allotmentMax } from '../../inventory/lanes.ts';
import { newWindowBody, shownWindowBody, windowBody } from './appointments.ts';
import { count, currency, instant, minorUnits, plainText, sku } from './fields.ts';

const holdMsDefault = 300_000;
const itemsMax = 20;

const itemBody = z.strictObject({
  sku,
  title: plainText(200),
  unitAmount: z.int().min(1).max(orderAmountMax).describe("In the currency's minor unit"),
  allotment: z.int().min(1).max(allotmentMax),
  perBuyer: z.int().min(1).max(10_000),
});

export type NewDrop = z.infer<ReturnType<typeof newDropBody>>;

/** The body that creates a drop. `now` is read at each validation: times must not be in the past. */
export function newDropBody(now: () => number) {
  return z
    .strictObject({
      title: plainText(200),
      currency,
      startsAt: instant,
      endsAt: instant,
      holdMs: z.int().min(1_000).max(3_600_000).default(holdMsDefault),
      lateCapture: z
        .enum(['retake', 'refund'])
        .default('retake')
        .describe('A payment captured after the hold has ended takes a unit again, or is refunded'),
      appointment: newWindowBody.optional(),
      passwordAbove: z
        .int()
        .min(0)
        .max(orderAmountMax)
        .optional()
        .describe(
          'Above this amount, an order is paid from the wallet with the payment password only',
        ),
      items: z.array(itemBody).min(1).max(itemsMax),
    })
    .superRefine((drop, context) => {
      const refuse: Refuse = (path, message) => context.addIssue({ code: 'custom', path, message });
      checkTimes(draftOf(drop), now(), refuse);
      checkItems(drop.items, refuse);
    });
}

type Refuse = (path: (string | number)[], message: string) => void;

function checkTimes(
  { startsAt, endsAt, appointment }: ReturnType<typeof draftOf>,
  now: number,
  refuse: Refuse,
): void {
  if (startsAt < now - pastMs) refuse(['startsAt'], 'is in the past');
  if (endsAt <= startsAt) refuse(['endsAt'], 'must be later than startsAt');
  const window = appointmentWindow({ startsAt, appointment }, now);
  if (!window) return;
  const path = ['appointment', 'until'];
  if (window.until <= window.from) refuse(path, 'must be later than appointment.from');
  else if (window.until <= now) refuse(path, 'is in the past');
  else if (window.until > endsAt) refuse(path, 'must not be later than endsAt');
}

function checkItems(items: z.infer<typeof itemBody>[], refuse: Refuse): void {
  const skus = new Set<string>();
  for (const [index, item] of items.entries()) {
    if (skus.has(item.sku)) refuse(['items', index, 'sku'], 'is already used by another item');
    skus.add(item.sku);
    if (item.unitAmount * item.perBuyer > orderAmountMax) {
      refuse(['items', index, 'unitAmount'], `times perBuyer must be at most ${orderAmountMax}`);
    }
  }
}

/** A drop may start at once: this allows for the time of the request and differences of clocks. */
const pastMs = 60_000;

/** A new drop with its instants as ms since the epoch. */
export function draftOf({ startsAt, endsAt, appointment, ...drop }: NewDrop) {
  return {
    ...drop,
    startsAt: Date.parse(startsAt),
    endsAt: Date.parse(endsAt),
    appointment: appointment && {
      ...(appointment.from === undefined ? {} : { from: Date.parse(appointment.from) }),
      ...(appointment.until === undefined ? {} : { until: Date.parse(appointment.until) }),
    },
  };
}

const shownPasswordAbove = minorUnits
  .nullable()
  .describe(
    'Above this amount the wallet needs the payment password; null: for no order of this drop',
  );

export const dropBody = z.strictObject({
  id: z.string(),
  title: z.string(),
  currency: z.string(),
  startsAt: instant,
  endsAt: instant,
  holdMs: z.int(),
  lateCapture: z.enum(['retake', 'refund']),
  appointment: windowBody,
  passwordAbove: shownPasswordAbove,
  lanes: z.int(),
  version: z.int(),
  decision: z.enum(decisions),
  state: z.enum(dropStates),
  items: z.array(itemBody),
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
  items: z.array(
    z.strictObject({
      sku,
      title: z.string(),
      unitAmount: minorUnits,
      perBuyer: z.int(),
      availability,
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
