import { hash } from 'node:crypto';

export const fieldKinds = ['text', 'phone', 'email', 'address'] as const;
export type FieldKind = (typeof fieldKinds)[number];

/** What a merchant asks of a buyer with the Buy, such as where to ship. */
export type OrderField = {
  /** The member of `fields` in a Buy. */
  name: string;
  /** For people. */
  label: string;
  kind: FieldKind;
  required: boolean;
  /** In characters. */
  maxLength: number;
};

/** What a buyer gives with a Buy beside the order itself: personal data, kept out of logs and cards. */
export type OrderDetails = {
  /** Texts by the names of the drop's fields. */
  fields?: Record<string, string> | undefined;
  /** The client's own notes. */
  metadata?: Record<string, string> | undefined;
};

/** Details as a lane keeps them until the ledger has them: JSON, and a fingerprint of it. */
export type PackedDetails = { text: string; fingerprint: string };

/** The same for equal details, in whatever order their names come; undefined when there are none. */
export function packDetails({
  fields = {},
  metadata = {},
}: OrderDetails): PackedDetails | undefined {
  const told = { fields: sorted(fields), metadata: sorted(metadata) };
  if (told.fields.length + told.metadata.length === 0) return undefined;
  const text = JSON.stringify({
    fields: told.fields.length > 0 ? Object.fromEntries(told.fields) : undefined,
    metadata: told.metadata.length > 0 ? Object.fromEntries(told.metadata) : undefined,
  });
  // Of the pairs, as an object puts names that are numbers first.
  const pairs = JSON.stringify(told);
  return { text, fingerprint: hash('sha256', pairs, 'base64url').slice(0, 16) };
}

/** The details that `packDetails` has packed; undefined for a text that is none of its own. */
export function parseDetails(text: string): OrderDetails | undefined {
  try {
    const details: unknown = JSON.parse(text);
    return isDetails(details) ? details : undefined;
  } catch {
    return undefined;
  }
}

function isDetails(value: unknown): value is OrderDetails {
  if (!isObject(value)) return false;
  const { fields = {}, metadata = {} } = value;
  return [fields, metadata].every((map) => {
    return isObject(map) && Object.values(map).every((text) => typeof text === 'string');
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sorted(map: Record<string, string>): [string, string][] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
}

export type FieldFault = { field: string; reason: string };

const faultsMax = 20;

/** What is wrong with the texts that a buyer gives for the fields of a drop. */
export function faultsOfFields(
  defined: readonly OrderField[] = [],
  given: Record<string, string> = {},
): FieldFault[] {
  const known = new Set(defined.map(({ name }) => name));
  const unknown = Object.keys(given).filter((name) => !known.has(name));
  return [
    ...defined.flatMap((field) => {
      const reason = faultOf(
        field,
        Object.hasOwn(given, field.name) ? given[field.name] : undefined,
      );
      return reason ? [{ field: `fields.${field.name}`, reason }] : [];
    }),
    ...unknown.map((name) => ({ field: `fields.${name}`, reason: 'is not a field of this drop' })),
  ].slice(0, faultsMax);
}

function faultOf({ kind, required, maxLength }: OrderField, text: string | undefined) {
  if (text === undefined) return required ? 'is required' : undefined;
  if (text === '' || text.trim() !== text) return 'must not be empty or begin or end with a blank';
  if (text.length > maxLength) return `must have at most ${maxLength} characters`;
  const { pattern, reason } = rules[kind];
  return pattern.test(text) ? undefined : reason;
}

/** Kept simple: only a message or a parcel proves that a phone, an email or an address is real. */
const rules: Record<FieldKind, { pattern: RegExp; reason: string }> = {
  text: { pattern: /^[^\p{Cc}\p{Cs}]*$/u, reason: 'must not hold control characters' },
  address: {
    pattern: /^(?:[^\p{Cc}\p{Cs}]|\n)*$/u,
    reason: 'must not hold control characters other than line breaks',
  },
  phone: {
    pattern: /^\+?\(?\d(?:[ ()./-]{0,2}\d){4,19}$/,
    reason: 'must be a phone number such as +86 138 0013 8000',
  },
  email: {
    pattern: /^[^\s\p{Cc}\p{Cs}@<>,;:"()[\]\\]{1,64}@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+$/u,
    reason: 'must be an email address such as an@example.com',
  },
};
