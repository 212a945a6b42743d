import type { ParkedChanges } from '../ledger/parked-changes.ts';
import type { Metrics } from '../metrics.ts';
import { withDeadline } from '../scheduling/deadline.ts';
import { openInterval } from '../scheduling/interval.ts';
import type { OnCount } from './metrics/counters.ts';
import type { SettleQueue } from './queue/settle-queue.ts';
import { type WorkerCount, workerCounts } from './queue/settle-worker.ts';
import { type RedriveCount, redriveCounts } from './recovery/redrive.ts';
import { type Relay, type RelayCount, relayCounts } from './relay/relay.ts';

const readMsMax = 1_000;
const readEveryMs = 1_000;
const jobStates = ['waiting', 'active', 'delayed', 'failed'] as const;

/** Publishes the counters of relay, settlement worker and redrive. Without metrics it does nothing. */
export function openBackgroundMetrics(metrics: Metrics | undefined) {
  const relayed = metrics?.counts({
    name: 'relay_total',
    help: 'What the relay did: entries, orders, batches, retries, claimed, malformed, parked, unqueued, broken_lane',
    label: 'what',
    values: relayCounts,
  });
  const settled = metrics?.counts({
    name: 'settle_total',
    help: 'Orders by what settling came to, and jobs by what went wrong with them',
    label: 'outcome',
    values: workerCounts,
  });
  const redriven = metrics?.counts({
    name: 'redrive_total',
    help: 'What was found left lying and driven on',
    label: 'what',
    values: redriveCounts,
  });
  const lost = metrics?.counts({
    name: 'lost_lanes_total',
    help: 'Lanes found behind what the ledger had read of them; their drops stop selling',
    label: 'action',
    values: ['frozen'],
  });
  const onRelay: OnCount<RelayCount> = (what, by) => relayed?.add(what, by);
  const onWorker: OnCount<WorkerCount> = (outcome, by) => settled?.add(outcome, by);
  const onRedrive: OnCount<RedriveCount> = (what, by) => redriven?.add(what, by);

  /**
   * Adds the gauges of relay, queue and parked changes: -1 without an answer. They are read at an interval, so that
   * asking for metrics, however often, costs no call.
   */
  function gauges(of: {
    relay: Relay;
    queue: SettleQueue;
    parkedChanges: Pick<ParkedChanges, 'count'>;
  }) {
    const { relay, queue, parkedChanges } = of;
    let backlog = -1;
    let parked = -1;
    let jobs: Partial<Record<(typeof jobStates)[number], number>> = {};
    metrics?.gauge({
      name: 'outbox_backlog',
      help: 'Outbox entries that are not in the ledger yet',
      read: () => backlog,
    });
    metrics?.gauge({
      name: 'parked_changes',
      help: 'Changes of outbox entries that the ledger refuses or that cannot be read',
      read: () => parked,
    });
    for (const state of jobStates) {
      metrics?.gauge({
        name: `settle_queue_${state}`,
        help: `Settlement jobs that are ${state}`,
        read: () => jobs[state] ?? -1,
      });
    }
    return openInterval({
      everyMs: readEveryMs,
      keepsProcessAlive: false,
      async run() {
        const [entries, counts, changes] = await Promise.all([
          soon(relay.backlog()),
          soon(queue.counts()),
          soon(parkedChanges.count()),
        ]);
        backlog = entries ?? -1;
        parked = changes ?? -1;
        jobs = counts ?? {};
      },
      onError() {}, // What cannot be read shows as -1.
    });
  }

  return { onRelay, onWorker, onRedrive, onLost: () => lost?.add('frozen'), gauges };
}

/** The queue's connection waits for Redis without a limit; a reading waits for `readMsMax` at most. */
async function soon<T>(reading: Promise<T>): Promise<T | undefined> {
  return await withDeadline(reading, readMsMax).catch(() => undefined);
}
