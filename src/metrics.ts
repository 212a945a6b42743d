import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Metrics = ReturnType<typeof openMetrics>;

const prefix = 'flashdrop_';

/**
 * The figures of one engine. Every name begins with flashdrop_ and is listed in docs/operations.md,
 * which a test holds against this registry. Counting costs a map's write; the sums are made when
 * somebody reads /metrics.
 */
export function openMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix });

  /** Counts by one label, such as outcomes by their name. */
  function counts(options: { name: string; help: string; label: string }) {
    const sums = new Map<string, number>();
    new Counter({
      name: prefix + options.name,
      help: options.help,
      labelNames: [options.label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, sum] of sums) this.inc({ [options.label]: value }, sum);
      },
    });
    return {
      add(value: string, by = 1): void {
        sums.set(value, (sums.get(value) ?? 0) + by);
      },
      get: (value: string) => sums.get(value) ?? 0,
    };
  }

  /** A figure read from its owner at each look. */
  function gauge(options: { name: string; help: string; read(): number | Promise<number> }): void {
    new Gauge({
      name: prefix + options.name,
      help: options.help,
      registers: [registry],
      async collect() {
        this.set(await options.read());
      },
    });
  }

  /** Durations in seconds. */
  function durations(options: { name: string; help: string; buckets: number[] }) {
    const histogram = new Histogram({
      name: prefix + options.name,
      help: options.help,
      buckets: options.buckets,
      registers: [registry],
    });
    return { observe: (seconds: number) => histogram.observe(seconds) };
  }

  return { registry, counts, gauge, durations, text: () => registry.metrics() };
}
