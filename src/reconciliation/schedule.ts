import { randomBytes } from 'node:crypto';
import type { Reconciliations } from '../ledger/checks/reconciliations.ts';
import type { Log } from '../log.ts';
import { openInterval } from '../scheduling/interval.ts';
import type { Reconcile } from './reconciliation.ts';
import type { ReconciliationReport } from './report.ts';

export type Schedule = {
  start(): void;
  /** Resolves when the run in hand is broken off or over. */
  stop(): Promise<void>;
  /** Reconciles if it is time and nobody else does; tells whether it did. */
  turn(): Promise<boolean>;
};

export type RunOutcome = ReconciliationReport['outcome'] | 'failed';

const leaseMs = 60_000;
const lookMsMost = 15_000;

/** Compares the books every so often, in one process at a time of all that would. */
export function openSchedule(options: {
  reconcile: Reconcile;
  reconciliations: Reconciliations;
  everyMs: number;
  log: Log;
  onRun?(outcome: RunOutcome): void;
}): Schedule {
  const { reconcile, reconciliations, everyMs, log, onRun } = options;
  const holder = randomBytes(9).toString('base64url');

  async function turn(): Promise<boolean> {
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
      log.error({ err: error }, 'the books could not be compared');
    } finally {
      clearInterval(renewing);
      await reconciliations.release(holder).catch(() => {});
    }
    return true;
  }

  /** A turn that went to somebody else meanwhile is theirs; a ledger that is away shows by itself. */
  async function renew(losing: AbortController): Promise<void> {
    const isOurs = await reconciliations.renew({ holder, forMs: leaseMs }).catch(() => true);
    if (!isOurs) losing.abort(new Error('the turn has gone to another worker'));
  }

  const interval = openInterval({
    run: async () => void (await turn()),
    everyMs: Math.min(everyMs, lookMsMost),
    onError: (error) => log.warn({ err: error }, 'the reconciliation'),
  });
  return { start: interval.start, stop: interval.stop, turn };
}
