import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';

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

  /** Durations in seconds, sorted into buckets that end at `bounds`. */
  function durations(options: { name: string; help: string; bounds: number[] }) {
    const { bounds } = options;
    const name = prefix + options.name;
    const counts = new Array<number>(bounds.length + 1).fill(0);
    let sum = 0;

    async function get() {
      let total = 0;
      const values: { metricName: string; labels: { le?: number | string }; value: number }[] =
        counts.map((count, index) => {
          total += count;
          const le = bounds[index] ?? '+Inf';
          return { metricName: `${name}_bucket`, labels: { le }, value: total };
        });
      values.push({ metricName: `${name}_sum`, labels: {}, value: sum });
      values.push({ metricName: `${name}_count`, labels: {}, value: total });
      return { name, help: options.help, type: 'histogram', values, aggregator: 'sum' };
    }

    // The library's own histogram costs more than all else that a Buy is counted by.
    registry.registerMetric({ name, get, reset() {} } as unknown as Metric);
    return {
      observe(seconds: number): void {
        let at = 0;
        while (at < bounds.length && seconds > (bounds[at] as number)) at += 1;
        counts[at] = (counts[at] as number) + 1;
        sum += seconds;
      },
    };
  }

  return { registry, counts, gauge, durations, text: () => registry.metrics() };
}
