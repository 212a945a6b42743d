import type { Moment, SpikeRecord } from '../record/record.ts';
import { accepted, arrivals, latency, opening, refused } from './crowd-plots.ts';
import { cpu, memory, queues, settlement, stock } from './engine-plots.ts';
import type { Drawing, Plot } from './series.ts';
import { thinned } from './thinned.ts';

/** Points of a line: enough for a wide screen, few enough for a page that opens at once. */
const stepsMax = 400;
const closeShare = 4;
const closeStepsMin = 8;

/** Every plot of the report. A sale that ends within a small part of the run gets a close-up. */
export function plotsOf(record: SpikeRecord): Plot[] {
  const moments = thinned(record.timeline, stepsMax);
  const close = theOpening(record);
  return [
    ...(close ? [timed(opening(close), close)] : []),
    ...[
      arrivals(moments),
      accepted(moments),
      refused(moments),
      stock(moments, record.sale.units),
      latency(moments),
      settlement(moments),
      queues(moments),
      cpu(moments, record.machine.cores),
      memory(moments),
    ].map((drawing) => timed(drawing, moments)),
  ];
}

function timed(drawing: Drawing, moments: readonly Moment[]): Plot {
  return { ...drawing, at: moments.map(({ atMs, stepMs }) => atMs + stepMs / 2) };
}

/** The steps around the seconds in which all units went, if those are a small part of the run. */
function theOpening({ timeline, outcome }: SpikeRecord): Moment[] | undefined {
  const gone = outcome.allAcceptedAtMs;
  const [first, last] = [timeline[0], timeline.at(-1)];
  if (gone === undefined || !first || !last || gone > (last.atMs - first.atMs) / closeShare) return;
  const near = timeline.filter(({ atMs }) => atMs >= -gone / 4 && atMs <= gone * 1.4);
  return near.length >= closeStepsMin ? thinned(near, stepsMax) : undefined;
}
