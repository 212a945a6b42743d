/** Names that were looked up and do not exist, each for `keptMs`; at most `namesMax` of them. */
export function openMisses<T>(options: { keptMs: number; namesMax: number; now?: () => number }) {
  const { keptMs, namesMax, now = () => performance.now() } = options;
  const misses = new Map<string, { until: number; about: T }>();
  return {
    /** What is known of a missing name; undefined when it has to be looked up. */
    get(name: string): T | undefined {
      const miss = misses.get(name);
      return miss && now() < miss.until ? miss.about : undefined;
    },
    add(name: string, about: T): void {
      if (misses.size >= namesMax) misses.clear();
      misses.set(name, { until: now() + keptMs, about });
    },
  };
}
