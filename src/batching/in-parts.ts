/** An item of a batch that failed, and its error. */
export type Failed<T> = { item: T; error: unknown };

export type PartsOptions = {
  /** Whether an error can be the fault of single items; any other fails the whole call. */
  isOfItem?(error: unknown): boolean;
  /** After this many failed calls the rest is tried in the parts that are left, and no further. */
  failuresMax?: number;
};

/**
 * Does `work` for a batch. When that fails, it does it for each half, and so on down to single items: an
 * item that always fails keeps no other item of its batch from being done. The work must bear being
 * done twice.
 * @returns the items that failed; empty when all were done
 * @throws the first error that `isOfItem` does not take
 */
export async function inParts<T>(
  items: readonly T[],
  work: (part: readonly T[]) => Promise<unknown>,
  { isOfItem = () => true, failuresMax = Number.POSITIVE_INFINITY }: PartsOptions = {},
): Promise<Failed<T>[]> {
  let failures = 0;

  async function run(part: readonly T[]): Promise<Failed<T>[]> {
    try {
      await work(part);
      return [];
    } catch (error) {
      if (!isOfItem(error)) throw error;
      failures += 1;
      if (part.length === 1 || failures >= failuresMax) {
        return part.map((item) => ({ item, error }));
      }
      const middle = Math.ceil(part.length / 2);
      return [...(await run(part.slice(0, middle))), ...(await run(part.slice(middle)))];
    }
  }

  return items.length === 0 ? [] : await run(items);
}
