import type { Reconciliations } from '../ledger/checks/reconciliations.ts';
import type { Metrics } from '../metrics.ts';
import { withDeadline } from '../scheduling/deadline.ts';
import { openInterval } from '../scheduling/interval.ts';
import { differenceKinds } from './differences.ts';
import type { ReconciliationReport } from './report.ts';
import type { RunOutcome } from './schedule.ts';

const readMsMax = 1_000;
const readEveryMs = 2_000;
const runOutcomes: readonly RunOutcome[] = ['clean', 'repaired', 'alarm', 'failed'];

/**
 * Publishes the outcomes of scheduled comparisons, and what the ledger has of the last one, which is
 * read at an interval: asking for metrics costs the ledger nothing.
 */
export function openReconciliationMetrics(
  metrics: Metrics | undefined,
  reconciliations: Reconciliations,
) {
  const runs = metrics?.counts({
    name: 'reconcile_runs_total',
    help: 'Comparisons of the books on schedule by outcome: clean, repaired, alarm, failed',
    label: 'outcome',
    values: runOutcomes,
  });
  let last: Awaited<ReturnType<Reconciliations['last']>> | undefined;
  metrics?.gaugesBy({
    name: 'reconcile_differences',
    help: 'Alarms of the last comparison of the books by kind; -1 while the ledger does not answer',
    labels: ['kind'],
    read() {
      const { alarms = {} } = (last?.report ?? {}) as Partial<ReconciliationReport>;
      return differenceKinds.map((kind) => {
        return { labels: { kind }, value: last ? (alarms[kind] ?? 0) : -1 };
      });
    },
  });
  metrics?.gauge({
    name: 'reconcile_last_seconds',
    help: 'Seconds since the last comparison of the books ended; -1 before the first',
    read() {
      const endedAt = last?.endedAt;
      return endedAt === undefined ? -1 : Math.max(0, Date.now() - endedAt) / 1_000;
    },
  });
  const interval = openInterval({
    everyMs: readEveryMs,
    keepsProcessAlive: false,
    async run() {
      last = await withDeadline(
        reconciliations.last().catch(() => undefined),
        readMsMax,
      );
    },
    onError() {}, // The run has no error of its own: what cannot be read shows as -1.
  });
  return {
    onRun(outcome: RunOutcome): void {
      runs?.add(outcome);
      interval.wake();
    },
    start: interval.start,
    stop: interval.stop,
  };
}
