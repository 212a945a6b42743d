import type { Action, Moment } from '../record/record.ts';
import { colours, type Drawing, peak, type Series } from './series.ts';
import { count, duration, spoken } from './words.ts';

// What the crowd did and how it was answered.

const reasonsMax = 6;

function values(
  moments: readonly Moment[],
  get: (moment: Moment) => number | undefined,
): (number | undefined)[] {
  return moments.map(get);
}

const perSecond = (get: (moment: Moment) => number) => (moment: Moment) =>
  (get(moment) * 1_000) / moment.stepMs;

function total(moments: readonly Moment[], get: (moment: Moment) => number): string {
  return `${count(moments.reduce((sum, moment) => sum + get(moment), 0))} in all`;
}

export function opening(moments: readonly Moment[]): Drawing {
  const line = (name: string, colour: number, get: (moment: Moment) => number): Series => {
    const seen = values(moments, perSecond(get));
    return { name, colour, dashed: colour > 1, values: seen, told: peak(seen) };
  };
  return {
    id: 'opening',
    title: 'The opening',
    measure: 'a second',
    unit: 'count',
    kind: 'lines',
    whole: true,
    series: [
      line('accepted', 0, ({ accepted }) => accepted),
      line('refused', 1, ({ refused }) => Object.values(refused).reduce((sum, n) => sum + n, 0)),
      line('all requests', 6, ({ sent, followUps }) => sent + followUps),
    ],
  };
}

export function arrivals(moments: readonly Moment[]): Drawing {
  const line = (name: string, colour: number, get: (moment: Moment) => number): Series => {
    const seen = values(moments, perSecond(get));
    return { name, colour, dashed: colour > 0, values: seen, told: peak(seen) };
  };
  return {
    id: 'arrivals',
    title: 'Arrivals',
    measure: 'requests a second',
    unit: 'count',
    kind: 'lines',
    series: [
      line('scheduled acts, as sent', 0, ({ sent }) => sent),
      line('scheduled acts, as planned', 1, ({ scheduled }) => scheduled),
      line('follow-ups: tries again, polls', 2, ({ followUps }) => followUps),
    ],
  };
}

export function accepted(moments: readonly Moment[]): Drawing {
  const fresh = values(
    moments,
    perSecond(({ accepted }) => accepted),
  );
  const replayed = values(
    moments,
    perSecond(({ replayed }) => replayed),
  );
  return {
    id: 'accepted',
    title: 'Accepted',
    measure: 'orders a second',
    unit: 'count',
    kind: 'lines',
    series: [
      { name: 'accepted', colour: 0, values: fresh, told: total(moments, (m) => m.accepted) },
      {
        name: 'replayed to the same key',
        colour: 1,
        dashed: true,
        values: replayed,
        told: total(moments, (m) => m.replayed),
      },
    ],
  };
}

/** The most frequent reasons in a layer each, the rest together. */
export function refused(moments: readonly Moment[]): Drawing {
  const sums = new Map<string, number>();
  for (const { refused } of moments) {
    for (const [code, n] of Object.entries(refused)) sums.set(code, (sums.get(code) ?? 0) + n);
  }
  const codes = [...sums].sort(([, a], [, b]) => b - a).map(([code]) => code);
  const layers: [string, string[]][] = codes.slice(0, reasonsMax).map((code) => [code, [code]]);
  if (codes.length > reasonsMax) layers.push(['all others', codes.slice(reasonsMax)]);
  return {
    id: 'refused',
    title: 'Refused, by reason',
    measure: 'answers a second',
    unit: 'count',
    kind: 'stack',
    series: layers.map(([name, of], index) => {
      const sum = ({ refused }: Moment) => of.reduce((n, code) => n + (refused[code] ?? 0), 0);
      return {
        name: spoken(name),
        colour: (index + 1) % colours,
        values: values(moments, perSecond(sum)),
        told: total(moments, sum),
      };
    }),
  };
}

export function latency(moments: readonly Moment[]): Drawing {
  const line = (
    name: string,
    options: { action: Action; at: 'p50' | 'p99'; colour: number; dashed?: boolean },
  ): Series => {
    const { action, at, ...look } = options;
    const seen = values(moments, ({ latency }) => latency[action]?.[at]);
    return { name, ...look, values: seen, told: peak(seen, duration) };
  };
  return {
    id: 'latency',
    title: 'Latency',
    measure: 'from the scheduled start, log scale',
    unit: 'ms',
    kind: 'lines',
    log: true,
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
