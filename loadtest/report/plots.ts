import type { SpikeRecord } from '../record/record.ts';
import { accepted, arrivals, latency, opening, refused } from './crowd-plots.ts';
import { cpu, memory, queues, settlement, stock } from './engine-plots.ts';
import type { Plot } from './series.ts';
import { openView, type View } from './view.ts';

/** Points of a line: enough for a wide screen, few enough for a page that opens at once. */
const stepsMax = 400;
const closeShare = 4;
const closeStepsMin = 8;

/** Every plot of the report. A sale that ends within a small part of the run gets a close-up. */
export function plotsOf(record: SpikeRecord): Plot[] {
  const view = openView(record.timeline, { stepsMax });
  const close = theOpening(record);
  return [
    ...(close ? [opening(close)] : []),
    arrivals(view),
    accepted(view),
    refused(view),
    stock(view, record.sale.units),
    latency(view),
    settlement(view),
    queues(view),
    cpu(view, record.machine.cores),
    memory(view),
  ];
}

/** The steps around the seconds in which all units went, if those are a small part of the run. */
function theOpening({ timeline, outcome }: SpikeRecord): View | undefined {
  const gone = outcome.allAcceptedAtMs;
  const [first, last] = [timeline[0], timeline.at(-1)];
  if (gone === undefined || !first || !last || gone > (last.atMs - first.atMs) / closeShare) return;
  const from = timeline.findIndex(({ atMs }) => atMs >= -gone / 4);
  const to = timeline.findLastIndex(({ atMs }) => atMs <= gone * 1.4) + 1;
  return to - from >= closeStepsMin ? openView(timeline, { stepsMax, from, to }) : undefined;
}
