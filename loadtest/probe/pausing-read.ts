/** A read of the report costs the engine work (50,000 orders: 0.1 s of its ledger), so reads pause. */
const restShare = 9;
/** The longest pause, in ms: with answers within two seconds, a plot shows no gap. */
const restMsMax = 3_000;
const durationsKept = 5;

/**
 * One read at a time, with pauses nine times as long as the fastest of the recent reads took. The rest
 * of a slow read was spent waiting and cost the engine nothing.
 */
export function pausingRead<T>(read: () => Promise<T>) {
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
      // A failed read shows as a missing sample.
    }
    const ended = performance.now();
    durations = [...durations.slice(1 - durationsKept), ended - started];
    restUntil = ended + Math.min(restMsMax, restShare * Math.min(...durations));
    under = undefined;
    return value;
  }

  return {
    /** Reads, unless it pauses; undefined when it did not read or the read failed. */
    look(): Promise<T | undefined> {
      if (!under && performance.now() < restUntil) return Promise.resolve(undefined);
      under ??= lookNow();
      return under;
    },
    /** Reads without a pause. */
    lookNow(): Promise<T | undefined> {
      under ??= lookNow();
      return under;
    },
    /** What was read since the last call. */
    take(): T | undefined {
      const taken = fresh;
      fresh = undefined;
      return taken;
    },
  };
}
