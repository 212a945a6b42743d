import { AggregatorRegistry } from 'prom-client';

/** A metric as a registry tells it. */
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

export type Figures = ReturnType<typeof openProcessMetrics>;

/** What Node and the system tell of one process: a sum of event loops would mean nothing. */
const ofOneProcess = /^flashdrop_(?:process|nodejs)_/;

/**
 * The figures of several processes on one page: summed, but for those of the runtime, which get the
 * label `process`. What a process that has ended had counted stays in the sums, so that a counter
 * does not go back.
 */
export function openProcessMetrics() {
  const latest = new Map<string, ProcessMetric[]>();
  const departed = new Map<string, ProcessMetric>();

  return {
    /** What a process told; it counts with this until it tells more. */
    take(process: string, figures: ProcessMetric[]): void {
      latest.set(process, figures);
    },
    /** The process has ended; one of the same name begins at zero. */
    leave(process: string): void {
      const counted = (latest.get(process) ?? []).filter(({ name, type }) => {
        return !ofOneProcess.test(name) && type !== 'gauge';
      });
      addUp(departed, counted);
      latest.delete(process);
    },
    text(): Promise<string> {
      const sums = structuredClone(departed);
      for (const [process, figures] of latest) {
        addUp(
          sums,
          figures.map((figure) =>
            ofOneProcess.test(figure.name) ? labelled(figure, process) : figure,
          ),
        );
      }
      const page = [...sums.values()].map((figure) => ({ ...figure, aggregator: 'sum' }));
      return AggregatorRegistry.aggregate([page]).metrics();
    },
  };
}

function labelled(figure: ProcessMetric, process: string): ProcessMetric {
  const values = figure.values.map((each) => ({ ...each, labels: { ...each.labels, process } }));
  return { ...figure, values };
}

function addUp(sums: Map<string, ProcessMetric>, figures: readonly ProcessMetric[]): void {
  for (const figure of figures) {
    const sum = sums.get(figure.name);
    if (!sum) {
      sums.set(figure.name, structuredClone(figure));
      continue;
    }
    const known = new Map(sum.values.map((each) => [series(each), each]));
    for (const each of figure.values) {
      const same = known.get(series(each));
      if (same) same.value += each.value;
      else sum.values.push({ ...each });
    }
  }
}

/** Tells two values of one metric apart. */
function series({ metricName = '', labels }: ProcessMetric['values'][number]): string {
  return metricName + JSON.stringify(Object.entries(labels).sort());
}
