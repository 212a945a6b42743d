import { matching, type SettingsReader } from './settings.ts';

/**
 * The settings of one provider: undefined when none is given, or when some are missing, which is
 * reported as a problem.
 */
export function allOrNone<T extends Record<string, unknown>>(
  settings: SettingsReader,
  names: { [K in keyof T]: string },
  values: { [K in keyof T]: T[K] | undefined },
): T | undefined {
  const keys = Object.keys(names) as (keyof T)[];
  const given = keys.filter((key) => settings.isGiven(names[key]));
  if (given.length === 0) return undefined;
  const missing = keys.filter((key) => !settings.isGiven(names[key]));
  if (missing.length > 0) {
    const listed = (some: (keyof T)[]) => some.map((key) => names[key]).join(', ');
    settings.problems.push(
      `${listed(missing)} must be set too, since ${listed(given)} is: or unset them all, and the provider is not offered`,
    );
  }
  return keys.every((key) => values[key] !== undefined) ? (values as T) : undefined;
}

export const shortText = matching('1 to 200 printable characters', /^[\x21-\x7e]{1,200}$/);
