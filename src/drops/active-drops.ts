import type { LaneRef } from '../domain/ids.ts';
import { lanesOf } from '../inventory/lanes.ts';
import type { Drops, StoredDrop } from '../ledger/drops.ts';
import type { Log } from '../log.ts';
import { openInterval } from '../scheduling/interval.ts';

/** The drops whose lanes the relay and the sweepers read: published once and not retired yet. */
export type ActiveDrops = {
  /** Resolves when the list was read once. A failed read is logged, never thrown. */
  start(): Promise<void>;
  stop(): Promise<void>;
  drops(): readonly StoredDrop[];
  lanes(): readonly LaneRef[];
  /** Whether the last read of the list failed, or the ledger has not answered for `awayMs`. */
  isLedgerAway(): boolean;
  /** Reads the list now instead of within a second. Call it after a publish. */
  refresh(): void;
};

const readEveryMs = 1_000;
/**
 * The ledger counts as away when it has not answered for this long, ms. Far longer than a slow query
 * of a merchant, which holds up all others on an embedded ledger: buyers pay before and after it.
 */
const awayMs = 10_000;

/** Reads the list of active drops every second. While the ledger is down the last list stays valid. */
export function openActiveDrops({ drops, log }: { drops: Drops; log: Log }): ActiveDrops {
  let known: StoredDrop[] = [];
  let lanes: LaneRef[] = [];
  /** Of the last answer, on the monotonic clock, ms. */
  let answeredAt = Number.NEGATIVE_INFINITY;

  async function read(): Promise<void> {
    known = await drops.active();
    lanes = known.flatMap(lanesOf);
    answeredAt = performance.now();
  }

  function logFailure(error: unknown): void {
    answeredAt = Number.NEGATIVE_INFINITY;
    log.warn({ err: error }, 'reading the list of active drops failed');
  }

  const interval = openInterval({
    run: read,
    everyMs: readEveryMs,
    pausesFirst: true,
    onError: logFailure,
  });

  return {
    async start() {
      await read().catch(logFailure);
      interval.start();
    },
    stop: interval.stop,
    drops: () => known,
    lanes: () => lanes,
    isLedgerAway: () => performance.now() - answeredAt > awayMs,
    refresh: interval.wake,
  };
}
