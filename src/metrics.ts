import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';

export type Metrics = ReturnType<typeof openMetrics>;

const prefix = 'flashdrop_';

type Labels = Record<string, string | number>;

/**
 * The figures of one engine. Every name begins with flashdrop_ and is listed in docs/operations.md,
 * which a test holds against this registry. Counting costs a map's write; the sums are made when
 * somebody reads /metrics.
 */
export function openMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix });

  /** Counts by labels, such as outcomes by provider and name; values stand in the labels' order. */
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

  /** Counts by one label, such as outcomes by their name. */
  function counts(options: { name: string; help: string; label: string }) {
    const counted = countsBy({ ...options, labels: [options.label] });
    return {
      add: (value: string, by = 1) => counted.add([value], by),
      get: (value: string) => counted.get([value]),
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

  /** Figures by one label, read from their owner at each look. */
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

  /** Durations in seconds, sorted into buckets that end at `bounds`; by a label where one is named. */
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
      const fresh = { counts: new Array<number>(bounds.length + 1).fill(0), sum: 0 };
      series.set(value, fresh);
      return fresh;
    }
    if (!label) seriesOf('');

    // The library's own histogram costs more than all else that a Buy is counted by.
    registry.registerMetric({ name, get, reset() {} } as unknown as Metric);
    return {
      observe(seconds: number, value = ''): void {
        const one = seriesOf(value);
        let at = 0;
        while (at < bounds.length && seconds > (bounds[at] as number)) at += 1;
        one.counts[at] = (one.counts[at] as number) + 1;
        one.sum += seconds;
      },
    };
  }

  return { registry, counts, countsBy, gauge, gaugesBy, durations, text: () => registry.metrics() };
}
