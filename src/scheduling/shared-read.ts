/**
 * A read that all callers share: one at a time, and its result is kept for `keptMs` after it has
 * ended. So callers, however many, cost one read in that time. A failed read is not kept.
 */
export function openSharedRead<T>(options: {
  read(): Promise<T>;
  keptMs: number;
  now?: () => number;
}): () => Promise<T> {
  const { read, keptMs, now = () => performance.now() } = options;
  let shared: Promise<T> | undefined;
  let keptUntil = Number.POSITIVE_INFINITY;

  function begin(): Promise<T> {
    keptUntil = Number.POSITIVE_INFINITY;
    const reading = read();
    shared = reading;
    reading.then(
      () => {
        keptUntil = now() + keptMs;
      },
      () => {
        shared = undefined;
      },
    );
    return reading;
  }

  return () => (shared && now() < keptUntil ? shared : begin());
}
