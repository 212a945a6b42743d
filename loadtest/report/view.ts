import type { Moment } from '../record/record.ts';
import { bestSecond, inTheSecondBefore } from '../record/seconds.ts';

type Value = number | undefined;

/** The timeline of a run, or a part of it, in no more steps than a plot has room for. */
export type View = {
  /** The middle and the end of each drawn step, in ms since the opening. */
  middles: number[];
  ends: number[];
  moments: readonly Moment[];
  /** The most in a second that ends within each drawn step. */
  seconds(count: (moment: Moment) => number): number[];
  /** The highest value seen within each drawn step. */
  highest(get: (moment: Moment) => Value): Value[];
  /** The last value seen within each drawn step. */
  latest(get: (moment: Moment) => Value): Value[];
  /** Of the whole run, whatever part is drawn. */
  best(count: (moment: Moment) => number): number;
  total(count: (moment: Moment) => number): number;
};

export function openView(
  timeline: readonly Moment[],
  { stepsMax, from = 0, to = timeline.length }: { stepsMax: number; from?: number; to?: number },
): View {
  const together = Math.max(1, Math.ceil((to - from) / stepsMax));
  const steps: { first: number; last: number }[] = [];
  for (let first = from; first < to; first += together) {
    steps.push({ first, last: Math.min(first + together, to) - 1 });
  }
  const endOf = (index: number) => {
    const { atMs = 0, stepMs = 0 } = timeline[index] ?? {};
    return atMs + stepMs;
  };
  const within = <T>({ first, last }: { first: number; last: number }, all: readonly T[]) =>
    all.slice(first, last + 1);

  return {
    moments: timeline.slice(from, to),
    middles: steps.map(({ first, last }) => ((timeline[first]?.atMs ?? 0) + endOf(last)) / 2),
    ends: steps.map(({ last }) => endOf(last)),
    seconds(count) {
      const all = inTheSecondBefore(timeline, count);
      return steps.map((step) => Math.max(...within(step, all)));
    },
    highest(get) {
      const all = timeline.map(get);
      return steps.map((step) => {
        const seen = within(step, all).filter((value) => value !== undefined);
        return seen.length > 0 ? Math.max(...seen) : undefined;
      });
    },
    latest(get) {
      const all = timeline.map(get);
      return steps.map((step) => within(step, all).findLast((value) => value !== undefined));
    },
    best: (count) => bestSecond(timeline, count),
    total: (count) => timeline.reduce((sum, moment) => sum + count(moment), 0),
  };
}
