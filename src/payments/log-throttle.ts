import type { Clock } from '../domain/clock.ts';

const intervalMs = 1_000;

/**
 * Passes on at most one message a second, so that an outage does not fill the log. A message that
 * follows suppressed ones says how many there were.
 */
export function throttleLog(
  warn: (message: string) => void,
  clock: Clock,
): (message: string) => void {
  let lastAt = Number.NEGATIVE_INFINITY;
  let suppressed = 0;
  return (message) => {
    if (Math.abs(clock.now() - lastAt) < intervalMs) {
      suppressed += 1;
      return;
    }
    warn(suppressed === 0 ? message : `${message} (and ${suppressed} more since)`);
    lastAt = clock.now();
    suppressed = 0;
  };
}
