import { openOpsListener } from '../http/ops/ops-listener.ts';
import { readinessOf } from '../http/ops/readiness.ts';
import { openSharedRead } from '../scheduling/shared-read.ts';
import { openHealth } from './health.ts';
import type { Releasers } from './releasers.ts';
import type { Wiring } from './wiring.ts';

/** A page of metrics takes milliseconds of the process that settles, so it is made this seldom. */
const pageKeptMs = 500;

/** Pages of metrics, made one at a time and shared by whoever asks on whatever port. */
export function openMetricsPage(make: () => Promise<string>): () => Promise<string> {
  return openSharedRead({ read: make, keptMs: pageKeptMs });
}

/** Serves the operators' routes on their own port until the engine has stopped; resolves with the address. */
export async function serveOps(
  wiring: Wiring,
  metrics: () => Promise<string>,
  releasers: Releasers,
): Promise<string> {
  const { config, redis, ledger } = wiring;
  const health = openHealth({ redis, namespace: config.namespace, ledger });
  let isStopping = false;
  const listener = await openOpsListener(
    {
      metrics,
      readiness: () => readinessOf(health),
      isDraining: () => isStopping,
    },
    config.ops,
  );
  // Released after http: operators still see the drain.
  releasers.add("the operators' routes", listener.stop);
  releasers.add('readiness', () => {
    isStopping = true;
  });
  return listener.address;
}
