import { z } from 'zod';
import { orderAmountMax } from '../../domain/money.ts';
import { appointmentWindow } from '../../drops/drafts.ts';
import { allotmentMax } from '../../inventory/lanes.ts';
import { newWindowBody } from './appointments.ts';
import { currency, instant, multilineText, plainText, sku, stringMap, webLink } from './fields.ts';
import { paymentMethod } from './orders.ts';

const holdMsDefault = 300_000;
const itemsMax = 20;

/** Shown to the public. */
export const description = {
  description: multilineText(2_000).optional(),
  image: webLink.optional(),
  link: webLink.optional().describe("The merchant's own page about it"),
};

export const metadata = stringMap.describe('Your own notes: names and texts, shown to you alone');

export const itemBody = z.strictObject({
  sku,
  title: plainText(200),
  unitAmount: z.int().min(1).max(orderAmountMax).describe("In the currency's minor unit"),
  allotment: z.int().min(1).max(allotmentMax),
  perBuyer: z.int().min(1).max(10_000),
  ...description,
  metadata: metadata.optional(),
});

const definition = z.strictObject({
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
    .describe('Above this amount, an order is paid from the wallet with the payment password only'),
  paymentMethods: z
    .array(paymentMethod)
    .min(1)
    .optional()
    .describe('By which buyers may pay; by all that the engine offers when absent'),
  ...description,
  metadata: metadata.optional(),
  items: z.array(itemBody).min(1).max(itemsMax),
});

export type NewDrop = z.infer<typeof definition>;

export type DefinitionRules = {
  /** Read at each validation, ms since the epoch: times must not be in the past. */
  now(): number;
  /** Whether the engine offers a method of payment in a currency. */
  takes(method: string, currency: string): boolean;
};

/** The body that creates a drop. */
export function newDropBody({ now, takes }: DefinitionRules) {
  return definition.superRefine((drop, context) => {
    const refuse: Refuse = (path, message) => context.addIssue({ code: 'custom', path, message });
    checkTimes(draftOf(drop), now(), refuse);
    checkItems(drop.items, refuse);
    checkMethods(drop, takes, refuse);
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

function checkItems(items: NewDrop['items'], refuse: Refuse): void {
  const skus = new Set<string>();
  for (const [index, item] of items.entries()) {
    if (skus.has(item.sku)) refuse(['items', index, 'sku'], 'is already used by another item');
    skus.add(item.sku);
    if (item.unitAmount * item.perBuyer > orderAmountMax) {
      refuse(['items', index, 'unitAmount'], `times perBuyer must be at most ${orderAmountMax}`);
    }
  }
}

function checkMethods(
  { paymentMethods = [], currency }: NewDrop,
  takes: DefinitionRules['takes'],
  refuse: Refuse,
): void {
  for (const [index, method] of paymentMethods.entries()) {
    const path = ['paymentMethods', index];
    if (paymentMethods.indexOf(method) < index) refuse(path, 'is given twice');
    else if (!takes(method, currency)) refuse(path, `is not offered in ${currency} by this engine`);
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
