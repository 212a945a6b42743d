import { randomBytes } from 'node:crypto';
import type { Reconciliations } from '../ledger/checks/reconciliations.ts';
import type { Log } from '../log.ts';
import { openInterval } from '../scheduling/interval.ts';
import type { Reconcile } from './reconciliation.ts';
import type { ReconciliationReport } from './report.ts';

export type Schedule = {
  start(): void;
  /** Aborts the current run and resolves when it has ended. */
  stop(): Promise<void>;
  /**
   * Reconciles if the interval is over and no other process does.
   * @returns whether it did
   */
  runOnce(): Promise<boolean>;
};

export type RunOutcome = ReconciliationReport['outcome'] | 'failed';

const leaseMs = 60_000;
const checkMsMax = 15_000;

/** Reconciles at an interval, in one process at a time: whichever takes the lease in the ledger. */
export function openSchedule(options: {
  reconcile: Reconcile;
  reconciliations: Reconciliations;
  everyMs: number;
  log: Log;
  onRun?(outcome: RunOutcome): void;
}): Schedule {
  const { reconcile, reconciliations, everyMs, log, onRun } = options;
  const holder = randomBytes(9).toString('base64url');

  async function runOnce(): Promise<boolean> {
    if (!(await reconciliations.take({ holder, everyMs, forMs: leaseMs }))) return false;
    const losing = new AbortController();
    const renewing = setInterval(() => void renew(losing), leaseMs / 3);
    try {
      const signal = AbortSignal.any([interval.signal, losing.signal]);
      const { outcome } = await reconcile({ signal });
      onRun?.(outcome);
    } catch (error) {
      if (interval.signal.aborted) return false;
      onRun?.('failed');
      log.error({ err: error }, 'reconciliation failed');
    } finally {
      clearInterval(renewing);
      await reconciliations.release(holder).catch(() => {});
    }
    return true;
  }

  /** Aborts the run when another process has taken the lease; a ledger that is down fails the run anyway. */
  async function renew(losing: AbortController): Promise<void> {
    const isOurs = await reconciliations.renew({ holder, forMs: leaseMs }).catch(() => true);
    if (!isOurs) losing.abort(new Error('another process has taken the lease'));
  }

  const interval = openInterval({
    run: async () => void (await runOnce()),
    everyMs: Math.min(everyMs, checkMsMax),
    onError: (error) => log.warn({ err: error }, 'taking the lease of the reconciliation failed'),
  });
  return { start: interval.start, stop: interval.stop, runOnce };
}
