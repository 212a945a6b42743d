/** `total` units, in calls of `batch` units, `inFlight` calls at a time. */
export type InFlight = { total: number; batch: number; inFlight: number };

/**
 * Sends units numbered from `from`, a fixed number of calls in flight; resolves with the seconds
 * it took.
 */
export async function runInFlight(
  { total, batch, inFlight }: InFlight,
  send: (from: number, size: number) => Promise<unknown>,
  from = 0,
): Promise<number> {
  const end = from + total;
  let next = from;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (next < end) {
        const at = next;
        next += batch;
        await send(at, Math.min(batch, end - at));
      }
    }),
  );
  return (performance.now() - started) / 1_000;
}
