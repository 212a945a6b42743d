export type RateLimiterOptions = {
  /** Requests that one name may make within a window. */
  requestsMax: number;
  windowMs: number;
  /** Names counted at once; when there are more within a window, all counts start anew. */
  namesMax: number;
  /** Requests of all names in a slot before they are counted by name; 0 when not given. */
  sharedMax?: number;
  now?: () => number;
};

export type RateLimiter = {
  /** 0 when the request is allowed, else the milliseconds until it is. */
  take(name: string): number;
};

const slotsBits = 16;

/**
 * Counts each name's requests in fixed windows, in memory that `namesMax` bounds. Names share slots:
 * until the names of a slot have made `sharedMax` requests together, none of them is stored, so that a
 * crowd of buyers who press a few times needs no memory for names. After that, a name that is counted
 * for the first time starts at `sharedMax`, whoever made those requests.
 */
export function openRateLimiter(options: RateLimiterOptions): RateLimiter {
  const { requestsMax, windowMs, namesMax, sharedMax = 0 } = options;
  const { now = () => performance.now() } = options;
  const shared = new Uint16Array(1 << slotsBits);
  const counts = new Map<string, number>();
  let windowEnd = now() + windowMs;

  return {
    take(name) {
      const at = now();
      if (at >= windowEnd || counts.size >= namesMax) {
        counts.clear();
        shared.fill(0);
        windowEnd = at + windowMs;
      }
      const slot = slotOf(name);
      const seen = shared[slot] ?? 0;
      if (seen < sharedMax) {
        shared[slot] = seen + 1;
        return 0;
      }
      const count = (counts.get(name) ?? sharedMax) + 1;
      counts.set(name, count);
      return count > requestsMax ? Math.max(1, windowEnd - at) : 0;
    },
  };
}

/** FNV-1a, folded to slotsBits bits. */
function slotOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  }
  return ((hash >>> slotsBits) ^ hash) & ((1 << slotsBits) - 1);
}
