import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';

export type Metrics = ReturnType<typeof openMetrics>;

const prefix = 'flashdrop_';

type Labels = Record<string, string | number>;

/**
 * Opens the metrics of one process. Every name begins with flashdrop_ and is listed in
 * docs/operations.md; a test compares the list with this registry. To count costs one write to a map;
 * the library's counters are set when /metrics is read.
 */
export function openMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix });

  /** A counter with several labels, such as provider and outcome. Values are in the labels' order. */
  function countsBy(options: { name: string; help: string; labels: string[] }) {
    const { labels } = options;
    const sums = new Map<string, { labels: Record<string, string>; sum: number }>();
    new Counter({
      name: prefix + options.name,
      help: options.help,
      labelNames: labels,
      registers: [registry],
      collect() {
        this.reset();
        for (const series of sums.values()) this.inc(series.labels, series.sum);
      },
    });
    function add(values: string[], by = 1): void {
      const key = values.join('\0');
      const series = sums.get(key);
      if (series) series.sum += by;
      else {
        const named = labels.map((label, n): [string, string] => [label, values[n] ?? '']);
        sums.set(key, { labels: Object.fromEntries(named), sum: by });
      }
    }
    return { add, get: (values: string[]) => sums.get(values.join('\0'))?.sum ?? 0 };
  }

  /** A counter with one label. */
  function counts(options: { name: string; help: string; label: string }) {
    const counted = countsBy({ ...options, labels: [options.label] });
    return {
      add: (value: string, by = 1) => counted.add([value], by),
      get: (value: string) => counted.get([value]),
    };
  }

  /** A gauge whose value is read at each scrape. */
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

  /** A gauge with one label whose values are read at each scrape. */
  function gaugesBy(options: {
    name: string;
    help: string;
    label: string;
    read(): Promise<[value: string, figure: number][]>;
  }): void {
    new Gauge({
      name: prefix + options.name,
      help: options.help,
      labelNames: [options.label],
      registers: [registry],
      async collect() {
        for (const [value, figure] of await options.read()) {
          this.set({ [options.label]: value }, figure);
        }
      },
    });
  }

  /** A histogram of durations in seconds with buckets up to `bounds`, by `label` if there is one. */
  function durations(options: { name: string; help: string; bounds: number[]; label?: string }) {
    const { bounds, label } = options;
    const name = prefix + options.name;
    const series = new Map<string, { counts: number[]; sum: number }>();

    async function get() {
      const values: { metricName: string; labels: Labels; value: number }[] = [];
      for (const [value, { counts, sum }] of series) {
        const labels = label ? { [label]: value } : {};
        let total = 0;
        for (const [index, count] of counts.entries()) {
          total += count;
          const le = bounds[index] ?? '+Inf';
          values.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: total });
        }
        values.push({ metricName: `${name}_sum`, labels, value: sum });
        values.push({ metricName: `${name}_count`, labels, value: total });
      }
      return { name, help: options.help, type: 'histogram', values, aggregator: 'sum' };
    }

    function seriesOf(value: string) {
      const known = series.get(value);
      if (known) return known;
      const fresh = { counts: [...bounds.map(() => 0), 0], sum: 0 };
      series.set(value, fresh);
      return fresh;
    }
    if (!label) seriesOf('');

    // The library's own histogram takes longer than all other counting for a Buy together.
    registry.registerMetric({ name, get, reset() {} } as unknown as Metric);
    return {
      observe(seconds: number, value = ''): void {
        const one = seriesOf(value);
        let at = 0;
        while (seconds > (bounds[at] ?? Number.POSITIVE_INFINITY)) at += 1;
        one.counts[at] = (one.counts[at] ?? 0) + 1;
        one.sum += seconds;
      },
    };
  }

  return { registry, counts, countsBy, gauge, gaugesBy, durations, text: () => registry.metrics() };
}
