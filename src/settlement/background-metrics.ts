import type { Metrics } from '../metrics.ts';
import { withDeadline } from '../scheduling/deadline.ts';
import type { OnCount } from './metrics/counters.ts';
import type { SettleQueue } from './queue/settle-queue.ts';
import type { WorkerCount } from './queue/settle-worker.ts';
import type { RedriveCount } from './recovery/redrive.ts';
import type { Relay, RelayCount } from './relay/relay.ts';

const readMsMax = 1_000;

/** Publishes the counters of relay, settlement worker and redrive. Without metrics it does nothing. */
export function openBackgroundMetrics(metrics: Metrics | undefined) {
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
  const onRelay: OnCount<RelayCount> = (what, by) => relayed?.add(what, by);
  const onWorker: OnCount<WorkerCount> = (outcome, by) => settled?.add(outcome, by);
  const onRedrive: OnCount<RedriveCount> = (what, by) => redriven?.add(what, by);

  /** Adds the gauges of relay and queue. They are read at each scrape; -1 while Redis is down. */
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

  return { onRelay, onWorker, onRedrive, onLost: () => lost?.add('frozen'), read };
}

/** The queue's connection waits for Redis without a limit; a scrape waits for `readMsMax` at most. */
async function soon<T>(reading: Promise<T>): Promise<T | undefined> {
  return await withDeadline(reading, readMsMax).catch(() => undefined);
}
