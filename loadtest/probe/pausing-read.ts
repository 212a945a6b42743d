/** A read of the report costs the engine work (50,000 orders: 0.1 s of its ledger), so reads pause. */
const pauseShare = 10;
/** The longest time from one read to the next, in ms: a plot shows no gap then. */
const pauseMsMax = 3_000;
const durationsKept = 5;

/**
 * Reads at an interval of ten times what the fastest of the recent reads took: the rest of a slow read
 * was spent waiting and cost the engine nothing. A read that is not answered yet does not hold up the
 * next one, or an overloaded engine would be seen once in many seconds.
 */
export function pausingRead<T>(read: () => Promise<T>) {
  let fresh: T[] = [];
  let startedAt = Number.NEGATIVE_INFINITY;
  let newest: Promise<T | undefined> | undefined;
  let durations: number[] = [];

  function pauseMs(): number {
    return Math.min(pauseMsMax, pauseShare * Math.min(...durations));
  }

  async function begin(): Promise<T | undefined> {
    const started = performance.now();
    startedAt = started;
    let value: T | undefined;
    try {
      value = await read();
      fresh.push(value);
    } catch {
      // A failed read shows as a missing sample.
    }
    durations = [...durations.slice(1 - durationsKept), performance.now() - started];
    return value;
  }

  function lookNow(): Promise<T | undefined> {
    const reading = begin().finally(() => {
      if (newest === reading) newest = undefined;
    });
    newest = reading;
    return reading;
  }

  return {
    /**
     * Reads when it is time to, else waits for the newest read that is under way; undefined when there
     * is none or it failed.
     */
    look(): Promise<T | undefined> {
      if (performance.now() >= startedAt + pauseMs()) return lookNow();
      return newest ?? Promise.resolve(undefined);
    },
    /** Reads without a pause, unless a read is under way. */
    lookNow(): Promise<T | undefined> {
      return newest ?? lookNow();
    },
    /** What was read since the last call, in the order of the answers. */
    take(): T[] {
      const taken = fresh;
      fresh = [];
      return taken;
    },
  };
}
