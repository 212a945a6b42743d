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
  /** The lanes that may hold anything, as known now. */
  active(): LaneRef[];
  /** Units given back in one sweep of one lane. */
  onReleased?(ref: LaneRef, orders: number): void;
  onError?(error: unknown): void;
};

const tickMs = 50;
/** A lane is looked at this often even when nothing is due: a cancelled drop frees all its holds. */
const lookMs = 1_000;
const sweepOrdersMax = 500;
const lanesAtOnce = 32;

/**
 * Releases due holds. Redis TIME says what is due; this side only chooses when to look, so a wrong
 * clock here makes a release late by at most one look and never early.
 */
export function openSweeper(options: SweeperOptions): Sweeper {
  const { lanes, active } = options;
  const nextPollAt = new Map<string, number>();

  async function sweepLane(ref: LaneRef): Promise<void> {
    let waitMs = lookMs;
    try {
      for (;;) {
        const swept = await lanes.sweep(ref, sweepOrdersMax);
        if (swept.released > 0) options.onReleased?.(ref, swept.released);
        if (swept.dueAt !== undefined) waitMs = Math.max(0, swept.dueAt - swept.now);
        if (swept.released < sweepOrdersMax || interval.signal.aborted) break;
      }
    } catch (error) {
      options.onError?.(error);
    }
    nextPollAt.set(`${ref.drop}:${ref.lane}`, performance.now() + Math.min(waitMs, lookMs));
  }

  async function sweepDue(): Promise<void> {
    const now = performance.now();
    const refs = active();
    const due = refs.filter((ref) => (nextPollAt.get(`${ref.drop}:${ref.lane}`) ?? 0) <= now);
    for (let at = 0; at < due.length && !interval.signal.aborted; at += lanesAtOnce) {
      await Promise.all(due.slice(at, at + lanesAtOnce).map(sweepLane));
    }
    if (nextPollAt.size > 2 * refs.length + lanesAtOnce) nextPollAt.clear();
  }

  const interval = openInterval({
    run: sweepDue,
    everyMs: tickMs,
    onError: (error) => options.onError?.(error),
  });
  return { start: interval.start, stop: interval.stop };
}
