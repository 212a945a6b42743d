const tickMs = 1;

/**
 * Fires events on schedule, independent of earlier answers: an open model. `times` are sorted, in ms on
 * `now`'s clock. When this process is delayed, all due events fire at once; `fire` is given the
 * scheduled time of each.
 */
export function pace(options: {
  times: Float64Array;
  fire(index: number, dueMs: number): void;
  now(): number;
}): Promise<void> {
  const { times, fire, now } = options;
  const { promise, resolve } = Promise.withResolvers<void>();
  let at = 0;

  function turn(): void {
    const until = now();
    while (at < times.length && (times[at] as number) <= until) {
      fire(at, times[at] as number);
      at += 1;
    }
    if (at >= times.length) resolve();
    else setTimeout(turn, Math.max(tickMs, (times[at] as number) - now()));
  }

  setTimeout(turn, 0);
  return promise;
}
