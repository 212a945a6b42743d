import type { Reconciliations } from '../../ledger/checks/reconciliations.ts';
import type { Metrics } from '../../metrics.ts';
import { differenceKinds } from '../../reconciliation/differences.ts';
import type { ReconciliationReport } from '../../reconciliation/report.ts';
import type { RunOutcome } from '../../reconciliation/schedule.ts';
import type { SettleQueue } from '../queue/settle-queue.ts';
import type { WorkerCount } from '../queue/settle-worker.ts';
import type { RedriveCount } from '../recovery/redrive.ts';
import type { Relay, RelayCount } from '../relay/relay.ts';
import type { OnCount } from './counters.ts';

const lookMsMax = 1_000;

/** Publishes what the settlement counts. Without metrics nothing is listened to. */
export function watchWork(metrics: Metrics | undefined) {
  const relayed = metrics?.counts({
    name: 'relay_total',
    help: 'What the relay did: entries, orders, batches, retries, claimed, malformed',
    label: 'what',
  });
  const settled = metrics?.counts({
    name: 'settle_total',
    help: 'Orders by what settling came to, and jobs by what went wrong with them',
    label: 'outcome',
  });
  const redriven = metrics?.counts({
    name: 'redrive_total',
    help: 'What was found left lying and driven on',
    label: 'what',
  });
  const lost = metrics?.counts({
    name: 'lost_lanes_total',
    help: 'Lanes found behind what the ledger had read of them; their drops stop selling',
    label: 'action',
  });
  const reconciled = metrics?.counts({
    name: 'reconcile_runs_total',
    help: 'Comparisons of the books on schedule by outcome: clean, repaired, alarm, failed',
    label: 'outcome',
  });
  const onReconcile = (outcome: RunOutcome) => reconciled?.add(outcome);
  const onRelay: OnCount<RelayCount> = (what, by) => relayed?.add(what, by);
  const onWorker: OnCount<WorkerCount> = (outcome, by) => settled?.add(outcome, by);
  const onRedrive: OnCount<RedriveCount> = (what, by) => redriven?.add(what, by);

  /** Gauges, read from their owners at each look; a look while Redis is away tells -1. */
  function read({ relay, queue }: { relay: Relay; queue: SettleQueue }): void {
    metrics?.gauge({
      name: 'outbox_backlog',
      help: 'Outbox entries that are not in the ledger yet',
      read: async () => (await soon(relay.backlog())) ?? -1,
    });
    for (const state of ['waiting', 'active', 'delayed', 'failed'] as const) {
      metrics?.gauge({
        name: `settle_queue_${state}`,
        help: `Settlement jobs that are ${state}`,
        read: async () => (await soon(queue.counts()))?.[state] ?? -1,
      });
    }
  }

  return { onRelay, onWorker, onRedrive, onReconcile, onLost: () => lost?.add('frozen'), read };
}

/** What the ledger has of the last comparison of the books, whoever made it. */
export function watchReconciliation(
  metrics: Metrics | undefined,
  reconciliations: Reconciliations,
): void {
  metrics?.gaugesBy({
    name: 'reconcile_differences',
    help: 'Alarms of the last comparison of the books by kind; -1 while the ledger does not answer',
    label: 'kind',
    async read() {
      const last = await soon(reconciliations.last());
      const { alarms = {} } = (last?.report ?? {}) as Partial<ReconciliationReport>;
      return differenceKinds.map((kind) => [kind, last ? (alarms[kind] ?? 0) : -1]);
    },
  });
  metrics?.gauge({
    name: 'reconcile_last_seconds',
    help: 'Seconds since the last comparison of the books ended; -1 before the first',
    async read() {
      const endedAt = (await soon(reconciliations.last()))?.endedAt;
      return endedAt === undefined ? -1 : Math.max(0, Date.now() - endedAt) / 1_000;
    },
  });
}

/** The queue's connection waits for Redis as long as it takes; who looks at metrics does not. */
async function soon<T>(reading: Promise<T>): Promise<T | undefined> {
  const late = new Promise<undefined>((resolve) => {
    setTimeout(resolve, lookMsMax, undefined).unref();
  });
  return await Promise.race([reading.catch(() => undefined), late]);
}
