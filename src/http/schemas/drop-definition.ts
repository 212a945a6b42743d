import { z } from 'zod';
import type { Decision, DropDefinition } from '../../domain/drop.ts';
import { orderAmountMax } from '../../domain/money.ts';
import { fieldKinds } from '../../domain/order-details.ts';
import { appointmentWindow } from '../../drops/drafts.ts';
import { allotmentMax } from '../../inventory/lanes.ts';
import { invalid } from '../problems/problems.ts';
import { validatorCompiler } from '../request/validation.ts';
import { newWindowBody } from './appointments.ts';
import {
  currency,
  instant,
  iso,
  multilineText,
  plainText,
  sku,
  stringMap,
  webLink,
} from './fields.ts';
import { paymentMethod } from './orders.ts';

const holdMsDefault = 300_000;
const unpaidHoldMsDefault = 60_000;
const lapsesMaxDefault = 3;
const itemsMax = 20;
const fieldsMax = 20;

/** Shown to the public. */
export const description = {
  description: multilineText(2_000).optional(),
  image: webLink.optional(),
  link: webLink.optional().describe("The merchant's own page about it"),
};

export const metadata = stringMap.describe('Your own notes: names and texts, shown to you alone');

const perBuyer = z.int().min(1).max(10_000);
const holdMs = z.int().min(1_000).max(3_600_000);

export const lapsesMaxText =
  'After this many holds of one buyer that expired, were cancelled or were declined, the drop accepts no more of their orders';

export const itemBody = z.strictObject({
  sku,
  title: plainText(200),
  unitAmount: z.int().min(1).max(orderAmountMax).describe("In the currency's minor unit"),
  allotment: z.int().min(1).max(allotmentMax),
  perBuyer: perBuyer.describe('Units of this item that one buyer may have'),
  ...description,
  metadata: metadata.optional(),
});

/** What a buyer gives with the Buy. */
export const orderField = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_]{0,39}$/, 'must be a letter and up to 39 letters, digits or _')
    .describe('The member of `fields` in a Buy'),
  label: plainText(100).describe('For people'),
  kind: z.enum(fieldKinds),
  required: z.boolean().default(false),
  maxLength: z.int().min(1).max(1_000).default(200).describe('In characters'),
});

const definition = z.strictObject({
  title: plainText(200),
  currency,
  startsAt: instant,
  endsAt: instant,
  holdMs: holdMs.default(holdMsDefault),
  unpaidHoldMs: holdMs
    .optional()
    .describe(
      `How long units are held until the buyer begins the payment, at most holdMs; the lesser of ${unpaidHoldMsDefault} and holdMs when absent. Orders that the engine charges from the wallet by itself have holdMs`,
    ),
  lapsesMax: z.int().min(1).max(10_000).default(lapsesMaxDefault).describe(lapsesMaxText),
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
      'Above this amount, an order is paid from the wallet with the payment password only; so is one that, with what the wallet paid without it in 24 hours, comes to more',
    ),
  paymentMethods: z
    .array(paymentMethod)
    .min(1)
    .optional()
    .describe('By which buyers may pay; by all that the engine offers when absent'),
  fields: z.array(orderField).min(1).max(fieldsMax).optional(),
  ...description,
  metadata: metadata.optional(),
  perBuyer: perBuyer
    .optional()
    .describe('Units of all items together that one buyer may have; no such limit when absent'),
  items: z.array(itemBody).min(1).max(itemsMax),
});

export type NewDrop = z.infer<typeof definition>;

export type DefinitionRules = {
  /** Read at each validation, ms since the epoch: times must not be in the past. */
  now(): number;
  /** Whether the engine offers a method of payment in a currency. */
  takes(method: string, currency: string): boolean;
};

/** For the metadata of a drop and of all its items at their bounds. */
export const definitionBytesMax = 1_048_576;

/** The body that creates a drop, or, with `before`, an edited drop: what it keeps may be in the past. */
export function newDropBody({ now, takes }: DefinitionRules, before?: DropDefinition) {
  return definition.superRefine((drop, context) => {
    const refuse: Refuse = (path, message) => context.addIssue({ code: 'custom', path, message });
    checkTimes(draftOf(drop), { now: now(), before }, refuse);
    checkItems(drop.items, refuse);
    if ((drop.unpaidHoldMs ?? 0) > drop.holdMs) refuse(['unpaidHoldMs'], 'must be at most holdMs');
    checkMethods(drop, takes, refuse);
    checkFields(drop.fields, refuse);
  });
}

type Refuse = (path: (string | number)[], message: string) => void;

function checkTimes(
  { startsAt, endsAt, appointment }: ReturnType<typeof draftOf>,
  { now, before }: { now: number; before: DropDefinition | undefined },
  refuse: Refuse,
): void {
  if (startsAt < now - pastMs && startsAt !== before?.startsAt)
    refuse(['startsAt'], 'is in the past');
  if (endsAt <= startsAt) refuse(['endsAt'], 'must be later than startsAt');
  const window = appointmentWindow({ startsAt, appointment }, now);
  if (!window) return;
  const path = ['appointment', 'until'];
  if (window.until <= window.from) refuse(path, 'must be later than appointment.from');
  else if (window.until <= now && window.until !== before?.appointment?.until) {
    refuse(path, 'is in the past');
  }
  if (window.until > endsAt) refuse(path, 'must not be later than endsAt');
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

function checkFields(fields: NewDrop['fields'] = [], refuse: Refuse): void {
  const names = fields.map(({ name }) => name);
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) < index)
      refuse(['fields', index, 'name'], 'is already used by another field');
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
    unpaidHoldMs: drop.unpaidHoldMs ?? unpaidHoldOf(drop),
    startsAt: Date.parse(startsAt),
    endsAt: Date.parse(endsAt),
    appointment: appointment && {
      ...(appointment.from === undefined ? {} : { from: Date.parse(appointment.from) }),
      ...(appointment.until === undefined ? {} : { until: Date.parse(appointment.until) }),
    },
  };
}

function unpaidHoldOf({ holdMs }: Pick<NewDrop, 'holdMs'>): number {
  return Math.min(holdMs, unpaidHoldMsDefault);
}

/** The body that edits a drop: any field of a new drop, and null to clear an optional one. */
export const dropPatchBody = z.strictObject(
  Object.fromEntries(
    Object.entries(definition.shape).map(([name, field]) => [name, patchField(field)]),
  ),
);

/** Without its default, which is for a new drop alone. */
function patchField(field: z.ZodType): z.ZodType {
  if (field instanceof z.ZodDefault) return z.optional(field.unwrap());
  return field instanceof z.ZodOptional ? z.nullish(field.unwrap()) : field.optional();
}

/** Applies edits to definitions; what comes of one is validated like a new drop. */
export function openDefinitionEdits(rules: DefinitionRules) {
  return {
    /**
     * The definition of a drop with the fields of a patch.
     * @throws Problem invalid_request that names the wrong fields
     */
    patched(drop: DropDefinition & { decision: Decision }, patch: object): DropDefinition {
      const given = Object.fromEntries(
        Object.entries(patch).map(([name, value]) => [name, value ?? undefined]),
      );
      const schema = newDropBody(rules, drop);
      const result = validatorCompiler({ schema })({ ...bodyOf(drop), ...given });
      if ('error' in result) throw result.error;
      const definition = draftOf(result.value);
      const isAbsent = (rule: 'unpaidHoldMs' | 'lapsesMax') =>
        drop[rule] === undefined && !Object.hasOwn(patch, rule);
      const now = rules.now();
      if (drop.decision !== 'draft' && definition.endsAt <= now) {
        throw invalid('endsAt', 'is in the past');
      }
      return {
        ...definition,
        // Drops from before these rules have neither: an edit adds only what it names.
        unpaidHoldMs: isAbsent('unpaidHoldMs') ? undefined : definition.unpaidHoldMs,
        lapsesMax: isAbsent('lapsesMax') ? undefined : definition.lapsesMax,
        appointment: appointmentWindow(definition, now),
      };
    },
  };
}

/** The body that would create a drop with this definition. */
function bodyOf(drop: DropDefinition): object {
  const { appointment, startsAt, endsAt } = drop;
  const known = Object.entries(drop).filter(([name]) => Object.hasOwn(definition.shape, name));
  return {
    ...Object.fromEntries(known),
    // One that was not chosen follows holdMs.
    unpaidHoldMs: drop.unpaidHoldMs === unpaidHoldOf(drop) ? undefined : drop.unpaidHoldMs,
    startsAt: iso(startsAt),
    endsAt: iso(endsAt),
    appointment: appointment && { from: iso(appointment.from), until: iso(appointment.until) },
  };
}
