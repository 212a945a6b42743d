import type { Reconciliations } from '../ledger/checks/reconciliations.ts';
import type { Metrics } from '../metrics.ts';
import { withDeadline } from '../scheduling/deadline.ts';
import { differenceKinds } from './differences.ts';
import type { ReconciliationReport } from './report.ts';
import type { RunOutcome } from './schedule.ts';

const readMsMax = 1_000;

/** Publishes the outcomes of scheduled comparisons, and what the ledger has of the last one. */
export function openReconciliationMetrics(
  metrics: Metrics | undefined,
  reconciliations: Reconciliations,
) {
  const runs = metrics?.counts({
    name: 'reconcile_runs_total',
    help: 'Comparisons of the books on schedule by outcome: clean, repaired, alarm, failed',
    label: 'outcome',
  });
  const last = () => withDeadline(reconciliations.last(), readMsMax).catch(() => undefined);
  metrics?.gaugesBy({
    name: 'reconcile_differences',
    help: 'Alarms of the last comparison of the books by kind; -1 while the ledger does not answer',
    label: 'kind',
    async read() {
      const run = await last();
      const { alarms = {} } = (run?.report ?? {}) as Partial<ReconciliationReport>;
      return differenceKinds.map((kind) => [kind, run ? (alarms[kind] ?? 0) : -1]);
    },
  });
  metrics?.gauge({
    name: 'reconcile_last_seconds',
    help: 'Seconds since the last comparison of the books ended; -1 before the first',
    async read() {
      const endedAt = (await last())?.endedAt;
      return endedAt === undefined ? -1 : Math.max(0, Date.now() - endedAt) / 1_000;
    },
  });
  return { onRun: (outcome: RunOutcome) => runs?.add(outcome) };
}
