import type { Clock } from '../domain/clock.ts';

/**
 * Passes on at most one message in `everyMs`, a second unless given, so that an outage does not fill the log. A message that
 * follows suppressed ones says how many there were.
 */
export function throttleLog(
  warn: (message: string) => void,
  clock: Clock,
  everyMs = 1_000,
): (message: string) => void {
  let lastAt = Number.NEGATIVE_INFINITY;
  let suppressed = 0;
  return (message) => {
    if (Math.abs(clock.now() - lastAt) < everyMs) {
      suppressed += 1;
      return;
    }
    warn(suppressed === 0 ? message : `${message} (and ${suppressed} more since)`);
    lastAt = clock.now();
    suppressed = 0;
  };
}
