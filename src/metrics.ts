import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';

export type Metrics = ReturnType<typeof openMetrics>;

const prefix = 'flashdrop_';

/** Gauges of the library whose names end like a counter's, which Prometheus' own check refuses. */
const misnamed = ['active_resources_total', 'active_handles_total', 'active_requests_total'];

type Labels = Record<string, string | number>;

/**
 * Opens the metrics of one process. Every name begins with flashdrop_ and is listed in
 * docs/operations.md; a test compares the list with this registry. To count costs one write to a map;
 * the library's counters are set when /metrics is read.
 */
export function openMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix });
  for (const name of misnamed) registry.removeSingleMetric(`${prefix}nodejs_${name}`);

  /**
   * A counter with several labels, such as provider and outcome. Values are in the labels' order. Each
   * of `series` is 0 from the start: the first event of a series that did not exist is no increase, so
   * an alarm on it would stay silent.
   */
  function countsBy(options: {
    name: string;
    help: string;
    labels: string[];
    series: readonly string[][];
  }) {
    const { labels } = options;
    const sums = new Map<string, { labels: Record<string, string>; sum: number }>();
    for (const values of options.series) add(values, 0);
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

  /** A counter with one label and all the values that it can have. */
  function counts<Value extends string>(options: {
    name: string;
    help: string;
    label: string;
    values: readonly Value[];
  }) {
    const { name, help, label, values } = options;
    const series = values.map((value) => [value]);
    const counted = countsBy({ name, help, labels: [label], series });
    return {
      add: (value: Value, by = 1) => counted.add([value], by),
      get: (value: Value) => counted.get([value]),
    };
  }

  /** A gauge whose value this process knows: it is read for each page. */
  function gauge(options: { name: string; help: string; read(): number }): void {
    new Gauge({
      name: prefix + options.name,
      help: options.help,
      registers: [registry],
      collect() {
        this.set(options.read());
      },
    });
  }

  /** A gauge with labels whose values this process knows; a series that is not read any more is gone. */
  function gaugesBy<Label extends string>(options: {
    name: string;
    help: string;
    labels: readonly Label[];
    read(): { labels: Record<Label, string>; value: number }[];
  }): void {
    new Gauge({
      name: prefix + options.name,
      help: options.help,
      labelNames: [...options.labels],
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of options.read()) this.set(labels, value);
      },
    });
  }

  /**
   * A histogram of durations in seconds with buckets up to `bounds`, by `label` if there is one, of
   * which `values` are there from the start.
   */
  function durations(options: {
    name: string;
    help: string;
    bounds: number[];
    label?: string;
    values?: readonly string[];
  }) {
    const { bounds, label, values = label ? [] : [''] } = options;
    const name = prefix + options.name;
    const series = new Map<string, { counts: number[]; sum: number }>();

    async function get() {
      const shown: { metricName: string; labels: Labels; value: number }[] = [];
      for (const [value, { counts, sum }] of series) {
        const labels = label ? { [label]: value } : {};
        let total = 0;
        for (const [index, count] of counts.entries()) {
          total += count;
          const le = bounds[index] ?? '+Inf';
          shown.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: total });
        }
        shown.push({ metricName: `${name}_sum`, labels, value: sum });
        shown.push({ metricName: `${name}_count`, labels, value: total });
      }
      return { name, help: options.help, type: 'histogram', values: shown, aggregator: 'sum' };
    }

    function seriesOf(value: string) {
      const known = series.get(value);
      if (known) return known;
      const fresh = { counts: [...bounds.map(() => 0), 0], sum: 0 };
      series.set(value, fresh);
      return fresh;
    }
    for (const value of values) seriesOf(value);

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
