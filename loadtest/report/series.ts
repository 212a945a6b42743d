import type { Action, EngineMoment, Moment, SpikeRecord } from '../spike/record.ts';
import { bytes, count, duration, spoken } from './words.ts';

/** What is drawn over the time of a run: one value a step, undefined where nothing is known. */
export type Series = {
  name: string;
  /** Which of the page's colours, and whether the line is broken. */
  colour: number;
  dashed?: boolean;
  values: (number | undefined)[];
  /** The figure beside the name in the legend. */
  told: string;
};

export type Plot = {
  id: string;
  title: string;
  /** What a value is, such as `requests a second`. */
  measure: string;
  unit: 'count' | 'ms' | 'bytes' | 'cores';
  kind: 'lines' | 'stack';
  log?: boolean;
  /** The axis goes at least this far. */
  atLeast?: number;
  /** As wide as the page. */
  whole?: boolean;
  series: Series[];
  /** The middle of each step, in ms since the opening. */
  at: number[];
};

type Drawing = Omit<Plot, 'at'>;

/** Enough for a line as wide as a screen, few enough for a page that opens at once. */
const stepsMax = 400;
const reasonsMax = 6;
const colours = 8;
const closeShare = 4;
const closeStepsMin = 8;

/** Every plot of the report. A sale over in a moment of the run gets one that looks closer. */
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

type Get<T> = (moment: T) => number | undefined;

function values(moments: readonly Moment[], get: Get<Moment>): (number | undefined)[] {
  return moments.map(get);
}

function told(moments: readonly Moment[], get: Get<EngineMoment>): (number | undefined)[] {
  return moments.map(({ engine }) => engine && get(engine));
}

const perSecond = (get: (moment: Moment) => number) => (moment: Moment) =>
  (get(moment) * 1_000) / moment.stepMs;

export function most(all: readonly (number | undefined)[]): number {
  return all.reduce<number>((high, value) => Math.max(high, value ?? 0), 0);
}

/** A series of which nothing is known is not drawn. */
export function isSeen({ values }: { values: readonly (number | undefined)[] }): boolean {
  return values.some((value) => value !== undefined);
}

function peak(of: readonly (number | undefined)[], format = count): string {
  return `peak ${format(most(of))}`;
}

function total(moments: readonly Moment[], get: (moment: Moment) => number): string {
  return `${count(moments.reduce((sum, moment) => sum + get(moment), 0))} in all`;
}

function opening(moments: readonly Moment[]): Drawing {
  const line = (name: string, colour: number, get: (moment: Moment) => number): Series => {
    const seen = values(moments, perSecond(get));
    return { name, colour, dashed: colour > 1, values: seen, told: peak(seen) };
  };
  return {
    ...{ id: 'opening', title: 'The opening', measure: 'a second', unit: 'count', kind: 'lines' },
    whole: true,
    series: [
      line('accepted', 0, ({ accepted }) => accepted),
      line('refused', 1, ({ refused }) => Object.values(refused).reduce((sum, n) => sum + n, 0)),
      line('all requests sent', 6, ({ sent }) => sent),
    ],
  };
}

function arrivals(moments: readonly Moment[]): Drawing {
  const scheduled = values(
    moments,
    perSecond(({ scheduled }) => scheduled),
  );
  const sent = values(
    moments,
    perSecond(({ sent }) => sent),
  );
  return {
    ...{ id: 'arrivals', title: 'Arrivals', measure: 'requests a second' },
    ...{ unit: 'count', kind: 'lines' },
    series: [
      { name: 'sent', colour: 0, values: sent, told: peak(sent) },
      { name: 'scheduled', colour: 1, dashed: true, values: scheduled, told: peak(scheduled) },
    ],
  };
}

function accepted(moments: readonly Moment[]): Drawing {
  const fresh = values(
    moments,
    perSecond(({ accepted }) => accepted),
  );
  const replayed = values(
    moments,
    perSecond(({ replayed }) => replayed),
  );
  return {
    ...{ id: 'accepted', title: 'Accepted', measure: 'orders a second' },
    ...{ unit: 'count', kind: 'lines' },
    series: [
      { name: 'accepted', colour: 0, values: fresh, told: total(moments, (m) => m.accepted) },
      {
        ...{ name: 'replayed to the same key', colour: 1, dashed: true },
        ...{ values: replayed, told: total(moments, (m) => m.replayed) },
      },
    ],
  };
}

/** The commonest reasons each in a layer of their own, the rest together. */
function refused(moments: readonly Moment[]): Drawing {
  const sums = new Map<string, number>();
  for (const { refused } of moments) {
    for (const [code, n] of Object.entries(refused)) sums.set(code, (sums.get(code) ?? 0) + n);
  }
  const codes = [...sums].sort(([, a], [, b]) => b - a).map(([code]) => code);
  const layers: [string, string[]][] = codes.slice(0, reasonsMax).map((code) => [code, [code]]);
  if (codes.length > reasonsMax) layers.push(['all others', codes.slice(reasonsMax)]);
  return {
    ...{ id: 'refused', title: 'Refused, by reason', measure: 'answers a second' },
    ...{ unit: 'count', kind: 'stack' },
    series: layers.map(([name, of], index) => {
      const sum = ({ refused }: Moment) => of.reduce((n, code) => n + (refused[code] ?? 0), 0);
      return {
        ...{ name: spoken(name), colour: (index + 1) % colours },
        ...{ values: values(moments, perSecond(sum)), told: total(moments, sum) },
      };
    }),
  };
}

function stock(moments: readonly Moment[], units: number): Drawing {
  const layer = (name: 'sold' | 'held' | 'available', colour: number): Series => {
    const seen = told(moments, (engine) => engine[name]);
    const last = seen.findLast((value) => value !== undefined);
    return {
      name,
      colour,
      values: seen,
      told: last === undefined ? '–' : `${count(last)} at the end`,
    };
  };
  return {
    ...{
      id: 'stock',
      title: 'Stock',
      measure: 'units',
      unit: 'count',
      kind: 'stack',
      atLeast: units,
    },
    series: [layer('sold', 0), layer('held', 1), layer('available', 6)],
  };
}

function latency(moments: readonly Moment[]): Drawing {
  const line = (
    name: string,
    options: { action: Action; at: 'p50' | 'p99'; colour: number; dashed?: boolean },
  ): Series => {
    const { action, at, ...look } = options;
    const seen = values(moments, ({ latency }) => latency[action]?.[at]);
    return { name, ...look, values: seen, told: peak(seen, duration) };
  };
  return {
    ...{ id: 'latency', title: 'Latency', measure: 'from the scheduled start, log scale' },
    ...{ unit: 'ms', kind: 'lines', log: true },
    series: [
      line('accepted p99', { action: 'buy_accepted', at: 'p99', colour: 0 }),
      line('accepted p50', { action: 'buy_accepted', at: 'p50', colour: 0, dashed: true }),
      line('refused p99', { action: 'buy_refused', at: 'p99', colour: 1 }),
      line('refused p50', { action: 'buy_refused', at: 'p50', colour: 1, dashed: true }),
      line('look p99', { action: 'look', at: 'p99', colour: 2 }),
      line('look p50', { action: 'look', at: 'p50', colour: 2, dashed: true }),
    ],
  };
}

function settlement(moments: readonly Moment[]): Drawing {
  const lag = told(moments, (engine) => engine.settlementLag);
  const reserved = told(moments, (engine) => engine.ledger.reserved);
  return {
    ...{
      id: 'settlement',
      title: 'Settlement lag',
      measure: 'orders',
      unit: 'count',
      kind: 'lines',
    },
    series: [
      { name: 'sold, not yet paid in the ledger', colour: 0, values: lag, told: peak(lag) },
      {
        ...{ name: 'reserved in the ledger', colour: 1, dashed: true },
        ...{ values: reserved, told: peak(reserved) },
      },
    ],
  };
}

function queues(moments: readonly Moment[]): Drawing {
  const line = (name: string, colour: number, get: Get<EngineMoment>): Series => {
    const seen = told(moments, get);
    return { name, colour, dashed: colour > 1, values: seen, told: peak(seen) };
  };
  return {
    ...{
      id: 'queues',
      title: 'Outbox and queue',
      measure: 'waiting',
      unit: 'count',
      kind: 'lines',
    },
    series: [
      line('outbox entries', 0, (engine) => engine.outboxBacklog),
      line('settlement jobs waiting', 1, (engine) => engine.queueWaiting),
      line('settlement jobs active', 2, (engine) => engine.queueActive),
    ],
  };
}

function cpu(moments: readonly Moment[], cores: number): Drawing {
  return {
    ...{ id: 'cpu', title: 'CPU by process', measure: 'cores busy', unit: 'cores', kind: 'stack' },
    atLeast: cores,
    series: perProcess(
      moments,
      ({ cpu }) => cpu,
      (value) => value.toFixed(2),
    ),
  };
}

function memory(moments: readonly Moment[]): Drawing {
  return {
    ...{
      id: 'memory',
      title: 'Memory by process',
      measure: 'resident',
      unit: 'bytes',
      kind: 'lines',
    },
    series: perProcess(moments, ({ memoryBytes }) => memoryBytes, bytes),
  };
}

function perProcess(
  moments: readonly Moment[],
  get: (process: EngineMoment['processes'][number]) => number,
  format: (value: number) => string,
): Series[] {
  const names = new Set(
    moments.flatMap(({ engine }) => engine?.processes.map(({ name }) => name) ?? []),
  );
  return [...names].map((name, index) => {
    const seen = told(moments, ({ processes }) => {
      const own = processes.filter((process) => process.name === name);
      return own.length > 0 ? own.reduce((sum, process) => sum + get(process), 0) : undefined;
    });
    const dashed = index >= colours || name.startsWith('load');
    return { name, colour: index % colours, dashed, values: seen, told: peak(seen, format) };
  });
}

/** Neighbouring steps made one: counts add up, of percentiles the worst stays. */
export function thinned(moments: readonly Moment[], stepsMax: number): Moment[] {
  const together = Math.ceil(moments.length / stepsMax);
  if (together <= 1) return [...moments];
  const steps: Moment[] = [];
  for (let at = 0; at < moments.length; at += together) {
    steps.push(moments.slice(at, at + together).reduce(joined));
  }
  return steps;
}

function joined(a: Moment, b: Moment): Moment {
  const refused = { ...a.refused };
  for (const [code, n] of Object.entries(b.refused)) refused[code] = (refused[code] ?? 0) + n;
  const latency = { ...a.latency };
  for (const [name, seen] of Object.entries(b.latency)) {
    const action = name as Action;
    const { p50 = 0, p99 = 0, max = 0 } = latency[action] ?? {};
    latency[action] = {
      p50: Math.max(p50, seen.p50),
      p99: Math.max(p99, seen.p99),
      max: Math.max(max, seen.max),
    };
  }
  return {
    ...{ atMs: a.atMs, stepMs: b.atMs + b.stepMs - a.atMs, refused, latency },
    scheduled: a.scheduled + b.scheduled,
    sent: a.sent + b.sent,
    accepted: a.accepted + b.accepted,
    replayed: a.replayed + b.replayed,
    looks: a.looks + b.looks,
    engine: b.engine ?? a.engine,
  };
}
