import type { LaneRef } from '../domain/ids.ts';
import { openInterval } from '../scheduling/interval.ts';
import type { Lanes } from './lanes.ts';

export type Sweeper = {
  start(): void;
  /** Resolves when no sweep is under way. */
  stop(): Promise<void>;
};

export type SweeperOptions = {
  lanes: Lanes;
  /** The lanes that may have holds. */
  active(): LaneRef[];
  /** Whether no buyer can pay now: the holds that end meanwhile count against nobody. Never when absent. */
  isAway?(): boolean;
  /** Called after a sweep of a lane with the number of orders that it released. */
  onReleased?(ref: LaneRef, orders: number): void;
  onError?(error: unknown): void;
};

const tickMs = 50;
/** A lane is swept this often even when no hold is due: a cancelled drop releases all its holds. */
const idleSweepMs = 1_000;
const sweepOrdersMax = 500;
const lanesAtOnce = 32;

/**
 * Releases due holds. Redis TIME decides which holds are due; this process only chooses when to sweep.
 * So a wrong clock here makes a release late by `idleSweepMs` at most, and never early.
 */
export function openSweeper(options: SweeperOptions): Sweeper {
  const { lanes, active } = options;
  /** By lane, on the monotonic clock, ms. */
  const nextSweepAt = new Map<string, number>();

  async function sweepLane(ref: LaneRef): Promise<void> {
    let waitMs = idleSweepMs;
    try {
      for (;;) {
        const swept = await lanes.sweep(ref, sweepOrdersMax, options.isAway?.());
        if (swept.released > 0) options.onReleased?.(ref, swept.released);
        if (swept.dueAt !== undefined) waitMs = Math.max(0, swept.dueAt - swept.now);
        if (swept.released < sweepOrdersMax || interval.signal.aborted) break;
      }
    } catch (error) {
      options.onError?.(error);
    }
    const pauseMs = Math.min(waitMs, idleSweepMs);
    nextSweepAt.set(`${ref.drop}:${ref.lane}`, performance.now() + pauseMs);
  }

  async function sweepDue(): Promise<void> {
    const now = performance.now();
    const refs = active();
    const due = refs.filter((ref) => (nextSweepAt.get(`${ref.drop}:${ref.lane}`) ?? 0) <= now);
    for (let at = 0; at < due.length && !interval.signal.aborted; at += lanesAtOnce) {
      await Promise.all(due.slice(at, at + lanesAtOnce).map(sweepLane));
    }
    if (nextSweepAt.size > 2 * refs.length + lanesAtOnce) nextSweepAt.clear();
  }

  const interval = openInterval({
    run: sweepDue,
    everyMs: tickMs,
    onError: (error) => options.onError?.(error),
  });
  return { start: interval.start, stop: interval.stop };
}
