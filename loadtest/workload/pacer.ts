const tickMs = 1;

/**
 * Fires what is due, on time, whatever became of what was fired before: an open model. `times` are
 * sorted, in ms on `now`'s clock. When this process is held up, all that is due fires at once, and
 * `fire` is told when each was meant to.
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
