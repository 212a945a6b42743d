import type { Moment } from './record.ts';

type Count = (moment: Moment) => number;

/** How much was counted in the second that ends with each step. */
export function inTheSecondBefore(timeline: readonly Moment[], count: Count): number[] {
  const steps = Math.max(1, Math.round(1_000 / (timeline[0]?.stepMs ?? 1_000)));
  let sum = 0;
  return timeline.map((moment, n) => {
    const leaving = timeline[n - steps];
    sum += count(moment) - (leaving ? count(leaving) : 0);
    return sum;
  });
}

/** The most that was counted in any one second. Every "a second" of a report means this. */
export function bestSecond(timeline: readonly Moment[], count: Count): number {
  return inTheSecondBefore(timeline, count).reduce((most, n) => Math.max(most, n), 0);
}
