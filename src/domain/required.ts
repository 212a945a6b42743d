/**
 * A value that must be there by the code's own logic.
 * @throws Error `bug: no <what>` when it is not
 */
export function required<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new Error(`bug: no ${what}`);
  return value;
}

/**
 * The value of a key that must be in the map.
 * @throws Error `bug: no <what> <key>` when it is not
 */
export function found<K, V>(map: ReadonlyMap<K, V>, key: K, what: string): V {
  const value = map.get(key);
  if (value === undefined) throw new Error(`bug: no ${what} ${String(key)}`);
  return value;
}
