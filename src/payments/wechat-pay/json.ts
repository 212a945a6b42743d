/** An object of unknown shape: what was parsed from outside. */
export type Fields = Readonly<Record<string, unknown>>;

const nothing: Fields = {};

/** The object that a text holds; undefined when it holds something else. */
export function parsedFields(text: string): Fields | undefined {
  try {
    return asFields(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export function asFields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : undefined;
}

/** An object within another; empty when it is not there. */
export function within(fields: Fields, name: string): Fields {
  return asFields(fields[name]) ?? nothing;
}

/** A text that is not empty. */
export function textOf(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** An amount in minor units. */
export function amountOf(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
}
