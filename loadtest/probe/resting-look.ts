/** A look costs the engine work (50,000 orders: a tenth of a second of its ledger), so it rests. */
const restShare = 9;
/** With an answer within two seconds, looks stay closer than what a plot shows as a hole. */
const restMsMax = 3_000;
const durationsKept = 5;

/**
 * One look at a time, with rests between, nine times as long as the quickest of the last looks took:
 * what a slow one took beyond that it spent waiting, and cost nobody anything.
 */
export function restingLook<T>(read: () => Promise<T>) {
  let fresh: T | undefined;
  let restUntil = 0;
  let under: Promise<T | undefined> | undefined;
  let durations: number[] = [];

  async function lookNow(): Promise<T | undefined> {
    const started = performance.now();
    let value: T | undefined;
    try {
      value = await read();
      fresh = value;
    } catch {
      // Silence is told by there being nothing to take.
    }
    const ended = performance.now();
    durations = [...durations.slice(1 - durationsKept), ended - started];
    restUntil = ended + Math.min(restMsMax, restShare * Math.min(...durations));
    under = undefined;
    return value;
  }

  return {
    /** Looks, unless it rests; gives what it saw, undefined when it did not look or saw nothing. */
    look(): Promise<T | undefined> {
      if (!under && performance.now() < restUntil) return Promise.resolve(undefined);
      under ??= lookNow();
      return under;
    },
    /** Looks without a rest. */
    lookNow(): Promise<T | undefined> {
      under ??= lookNow();
      return under;
    },
    /** What was seen since it was last taken. */
    take(): T | undefined {
      const taken = fresh;
      fresh = undefined;
      return taken;
    },
  };
}
