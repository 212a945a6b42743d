export type LimiterOptions = {
  /** Requests that one name may make within a window. */
  requestsMax: number;
  windowMs: number;
  /** Names remembered; when more come within a window, all start anew. */
  namesMax: number;
  now?: () => number;
};

export type Limiter = {
  /** 0 when the request may pass, else the milliseconds until it may. */
  take(name: string): number;
};

/** Counts each name's requests in fixed windows, in memory that is bounded by `namesMax`. */
export function openLimiter(options: LimiterOptions): Limiter {
  const { requestsMax, windowMs, namesMax, now = () => performance.now() } = options;
  const counts = new Map<string, number>();
  let windowEnd = now() + windowMs;

  return {
    take(name) {
      const at = now();
      if (at >= windowEnd || counts.size >= namesMax) {
        counts.clear();
        windowEnd = at + windowMs;
      }
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      return count > requestsMax ? Math.max(1, windowEnd - at) : 0;
    },
  };
}
