import { openDropMetrics } from '../drops/drop-metrics.ts';
import { openReconciliationMetrics } from '../reconciliation/metrics.ts';
import type { openReconciliation } from '../reconciliation/reconciliation.ts';
import { openSchedule } from '../reconciliation/schedule.ts';
import { openSettlementBackground } from '../settlement/background.ts';
import type { ServiceOptions } from './service-options.ts';

export type Background = ReturnType<typeof openBackground>;

/** Opens what the worker role runs in the background: settlement and reconciliation. */
export function openBackground(
  { redisUrl, namespace, lanes, ledger, providers, log, ...options }: ServiceOptions,
  shared: Pick<
    Parameters<typeof openSettlementBackground>[0],
    'publishing' | 'activeDrops' | 'settlement' | 'settleTopUps' | 'termsOf' | 'redisNow' | 'clock'
  > & { reconcile: ReturnType<typeof openReconciliation> },
) {
  const { metrics, timings = {}, reconcileEveryMs: everyMs, onStep } = options;
  const { reconciliations } = ledger;
  const { reconcile, ...parts } = shared;
  const settlement = openSettlementBackground({
    redisUrl,
    namespace,
    lanes,
    ledger,
    providers,
    log,
    metrics,
    timings,
    onStep,
    ...parts,
  });
  const reconciled = openReconciliationMetrics(metrics, reconciliations);
  const dropGauges = openDropMetrics({
    metrics,
    lanes,
    drops: parts.activeDrops.drops,
    clock: parts.clock,
  });
  const schedule =
    everyMs === undefined
      ? undefined
      : openSchedule({ reconcile, reconciliations, everyMs, log, onRun: reconciled.onRun });
  return {
    ...settlement,
    schedule,
    async start(): Promise<void> {
      await settlement.start();
      schedule?.start();
      reconciled.start();
      dropGauges.start();
    },
    async stop(): Promise<void> {
      await Promise.all([
        schedule?.stop(),
        reconciled.stop(),
        dropGauges.stop(),
        settlement.stop(),
      ]);
    },
  };
}
