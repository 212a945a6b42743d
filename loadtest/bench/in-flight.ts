/** Calls of so many units, so many at a time, until `total` units are sent. */
export type Flights = { total: number; batch: number; flights: number };

/**
 * Sends units numbered from `from`, a fixed number of calls in flight; resolves with the seconds
 * it took.
 */
export async function fly(
  { total, batch, flights }: Flights,
  send: (from: number, size: number) => Promise<unknown>,
  from = 0,
): Promise<number> {
  const end = from + total;
  let next = from;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: flights }, async () => {
      while (next < end) {
        const at = next;
        next += batch;
        await send(at, Math.min(batch, end - at));
      }
    }),
  );
  return (performance.now() - started) / 1_000;
}
