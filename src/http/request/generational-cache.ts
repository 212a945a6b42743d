export type GenerationalCache<T> = {
  get(key: string): T | undefined;
  set(key: string, value: T): void;
};

/**
 * A bounded map: entries live in two generations, and when the young one is full the old one is
 * dropped whole. Every operation costs the same at any size, unlike deleting a map's oldest entry.
 * Holds at most twice `youngMax` entries.
 */
export function openGenerationalCache<T>({ youngMax }: { youngMax: number }): GenerationalCache<T> {
  let young = new Map<string, T>();
  let old = new Map<string, T>();

  function set(key: string, value: T): void {
    if (young.size >= youngMax) {
      old = young;
      young = new Map();
    }
    young.set(key, value);
  }

  return {
    get(key) {
      const found = young.get(key);
      if (found !== undefined) return found;
      const older = old.get(key);
      if (older !== undefined) set(key, older);
      return older;
    },
    set,
  };
}
