export type RateLimiterOptions = {
  /** What one name may spend within a window. */
  requestsMax: number;
  windowMs: number;
  /** Names counted at once; when there are more within a window, all counts start anew. */
  namesMax: number;
  /** What all names in a slot may spend before they are counted by name; 0 when not given. */
  sharedMax?: number;
  /** Ms since the epoch: windows are the same in all processes. */
  now?: () => number;
};

/** What a name has spent here since it was last told to other processes. */
export type Spent = { name: string; by: number };

export type RateLimiter = {
  /** 0 when the request is allowed, else the milliseconds until it is. `cost` is 1 when not given. */
  take(name: string, cost?: number): number;
  /** Takes what a request has cost, also when that is more than is left. */
  charge(name: string, cost: number): void;
  /** What was spent in this window and not reported yet, of at most `namesMax` names. */
  report(namesMax: number): { window: number; spent: Spent[] };
  /** Takes in what all processes together have spent on a name in a window. */
  learn(window: number, name: string, total: number): void;
};

/** `own` and `reported` begin at `sharedMax`: what was spent before is nobody's, so it is not reported. */
type Count = { own: number; reported: number; others: number };

const slotsBits = 16;

/**
 * Counts what each name spends in fixed windows, in memory that `namesMax` bounds. Names share slots:
 * until the names of a slot have spent `sharedMax` together, none of them is stored, so that a crowd of
 * buyers who press a few times needs no memory for names. After that, a name that is counted for the
 * first time starts at `sharedMax`, whoever spent it.
 */
export function openRateLimiter(options: RateLimiterOptions): RateLimiter {
  const { requestsMax, windowMs, namesMax, sharedMax = 0 } = options;
  const { now = Date.now } = options;
  const shared = new Uint16Array(1 << slotsBits);
  const counts = new Map<string, Count>();
  const unreported = new Set<string>();
  let window = Math.floor(now() / windowMs);

  function startAnew(): void {
    counts.clear();
    unreported.clear();
    shared.fill(0);
  }

  function enter(at: number): void {
    const current = Math.floor(at / windowMs);
    if (current === window && counts.size < namesMax) return;
    startAnew();
    window = current;
  }

  /** The count of a name; undefined while its slot has room for the cost, which is then taken. */
  function counted(name: string, cost: number): Count | undefined {
    const slot = slotOf(name);
    const seen = shared[slot] ?? 0;
    if (seen + cost <= sharedMax) {
      shared[slot] = seen + cost;
      return undefined;
    }
    const count = counts.get(name) ?? { own: sharedMax, reported: sharedMax, others: 0 };
    counts.set(name, count);
    return count;
  }

  function spend(name: string, count: Count, cost: number): void {
    count.own += cost;
    unreported.add(name);
  }

  return {
    take(name, cost = 1) {
      const at = now();
      enter(at);
      const count = counted(name, cost);
      if (!count) return 0;
      if (count.own + count.others + cost > requestsMax) {
        return Math.max(1, (window + 1) * windowMs - at);
      }
      spend(name, count, cost);
      return 0;
    },

    charge(name, cost) {
      enter(now());
      const count = counted(name, cost);
      if (count) spend(name, count, cost);
    },

    report(most) {
      enter(now());
      const names = [...unreported].slice(0, most);
      const spent = names.flatMap((name) => {
        unreported.delete(name);
        const count = counts.get(name);
        if (!count) return [];
        const by = count.own - count.reported;
        count.reported = count.own;
        return [{ name, by }];
      });
      return { window, spent };
    },

    learn(of, name, total) {
      const count = counts.get(name);
      if (of !== window || !count) return;
      count.others = Math.max(0, total - (count.reported - sharedMax));
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
