export type Memory<T> = {
  get(key: string): T | undefined;
  set(key: string, value: T): void;
};

/**
 * A map that forgets: entries live in two generations, and when the young one is full the old one
 * is dropped whole. Every step costs the same at any size, unlike deleting a map's oldest entry.
 * Holds at most twice `youngMax`.
 */
export function openMemory<T>({ youngMax }: { youngMax: number }): Memory<T> {
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
