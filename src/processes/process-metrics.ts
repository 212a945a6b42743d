import { AggregatorRegistry } from 'prom-client';

/** A metric as prom-client's registry returns it. */
export type ProcessMetric = {
  name: string;
  help: string;
  type: unknown;
  values: {
    metricName?: string;
    labels: Partial<Record<string, string | number>>;
    value: number;
  }[];
};

/** Metrics of Node and of the system for one process: a sum of, say, event loop lags means nothing. */
const ofOneProcess = /^flashdrop_(?:process|nodejs)_/;

/**
 * Metrics of several processes on one page: summed, except those of the runtime, which get the label
 * `process`. The counters of a process that has ended stay in the sums, so that no counter decreases.
 */
export function openProcessMetrics() {
  const latest = new Map<string, ProcessMetric[]>();
  const departed = new Map<string, ProcessMetric>();

  return {
    /** Sets a process' metrics; they count until it sends newer ones. */
    take(process: string, metrics: ProcessMetric[]): void {
      latest.set(process, metrics);
    },
    /** The process has ended; a later one of the same name begins at zero. */
    leave(process: string): void {
      const counted = (latest.get(process) ?? []).filter(({ name, type }) => {
        return !ofOneProcess.test(name) && type !== 'gauge';
      });
      addUp(departed, counted);
      latest.delete(process);
    },
    text(): Promise<string> {
      const sums = structuredClone(departed);
      for (const [process, metrics] of latest) {
        const all = metrics.map((metric) =>
          ofOneProcess.test(metric.name) ? labelled(metric, process) : metric,
        );
        addUp(sums, all);
      }
      const page = [...sums.values()].map((metric) => ({ ...metric, aggregator: 'sum' }));
      return AggregatorRegistry.aggregate([page]).metrics();
    },
  };
}

function labelled(metric: ProcessMetric, process: string): ProcessMetric {
  const values = metric.values.map((each) => ({ ...each, labels: { ...each.labels, process } }));
  return { ...metric, values };
}

function addUp(sums: Map<string, ProcessMetric>, metrics: readonly ProcessMetric[]): void {
  for (const metric of metrics) {
    const sum = sums.get(metric.name);
    if (!sum) {
      sums.set(metric.name, structuredClone(metric));
      continue;
    }
    const known = new Map(sum.values.map((each) => [series(each), each]));
    for (const each of metric.values) {
      const same = known.get(series(each));
      if (same) same.value += each.value;
      else sum.values.push({ ...each });
    }
  }
}

/** Identifies a value within its metric. */
function series({ metricName = '', labels }: ProcessMetric['values'][number]): string {
  return metricName + JSON.stringify(Object.entries(labels).sort());
}
