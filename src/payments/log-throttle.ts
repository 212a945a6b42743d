import type { Clock } from '../domain/clock.ts';

/** At most a message a second, so that an outage does not fill the log. */
export function seldom(warn: (message: string) => void, clock: Clock): (message: string) => void {
  let [lastAt, kept] = [Number.NEGATIVE_INFINITY, 0];
  return (message) => {
    if (Math.abs(clock.now() - lastAt) < 1_000) {
      kept += 1;
      return;
    }
    warn(kept === 0 ? message : `${message} (and ${kept} more since)`);
    [lastAt, kept] = [clock.now(), 0];
  };
}
