/** Counts by name since the start. `onCount` is called with each addition. */
export type Counters<Name extends string> = {
  add(name: Name, by?: number): void;
  read(): Record<Name, number>;
};

export type OnCount<Name extends string> = (name: Name, by: number) => void;

export function openCounters<Name extends string>(
  names: readonly Name[],
  onCount?: OnCount<Name>,
): Counters<Name> {
  const sums = Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
  return {
    add(name, by = 1) {
      if (by === 0) return;
      sums[name] += by;
      onCount?.(name, by);
    },
    read: () => ({ ...sums }),
  };
}
