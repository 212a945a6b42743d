import type { Action, Moment } from '../record/record.ts';
import { colours, type Plot, peak, type Series } from './series.ts';
import type { View } from './view.ts';
import { count, duration, spoken } from './words.ts';

// What the crowd did and how it was answered.

const reasonsMax = 6;
const measure = 'in the last second';

type Count = (moment: Moment) => number;

const refusals: Count = ({ refused }) => Object.values(refused).reduce((sum, n) => sum + n, 0);

function line(view: View, name: string, look: { colour: number; count: Count }): Series {
  const { colour, count: counted } = look;
  return {
    name,
    colour,
    dashed: colour > 0,
    values: view.seconds(counted),
    told: `peak ${count(view.best(counted))} a second`,
  };
}

export function opening(view: View): Plot {
  return {
    id: 'opening',
    title: 'The opening',
    measure,
    unit: 'count',
    kind: 'lines',
    whole: true,
    at: view.ends,
    series: [
      line(view, 'accepted', { colour: 0, count: ({ accepted }) => accepted }),
      line(view, 'refused', { colour: 1, count: refusals }),
      line(view, 'all requests', { colour: 6, count: ({ sent, followUps }) => sent + followUps }),
    ],
  };
}

export function arrivals(view: View): Plot {
  return {
    id: 'arrivals',
    title: 'Arrivals',
    measure: `requests ${measure}`,
    unit: 'count',
    kind: 'lines',
    at: view.ends,
    series: [
      line(view, 'scheduled acts, as sent', { colour: 0, count: ({ sent }) => sent }),
      line(view, 'scheduled acts, as planned', { colour: 1, count: ({ scheduled }) => scheduled }),
      line(view, 'follow-ups: tries again, polls', {
        colour: 2,
        count: ({ followUps }) => followUps,
      }),
    ],
  };
}

export function accepted(view: View): Plot {
  return {
    id: 'accepted',
    title: 'Accepted',
    measure: `orders ${measure}`,
    unit: 'count',
    kind: 'lines',
    at: view.ends,
    series: [
      line(view, 'accepted', { colour: 0, count: ({ accepted }) => accepted }),
      line(view, 'replayed to the same key', { colour: 1, count: ({ replayed }) => replayed }),
    ],
  };
}

/** The most frequent reasons in a layer each, the rest together. */
export function refused(view: View): Plot {
  const sums = new Map<string, number>();
  for (const { refused } of view.moments) {
    for (const [code, n] of Object.entries(refused)) sums.set(code, (sums.get(code) ?? 0) + n);
  }
  const codes = [...sums].sort(([, a], [, b]) => b - a).map(([code]) => code);
  const layers: [string, string[]][] = codes.slice(0, reasonsMax).map((code) => [code, [code]]);
  if (codes.length > reasonsMax) layers.push(['all others', codes.slice(reasonsMax)]);
  return {
    id: 'refused',
    title: 'Refused, by reason',
    measure: `answers ${measure}`,
    unit: 'count',
    kind: 'stack',
    at: view.ends,
    series: layers.map(([name, of], index) => {
      const sum: Count = ({ refused }) => of.reduce((n, code) => n + (refused[code] ?? 0), 0);
      return {
        name: spoken(name),
        colour: (index + 1) % colours,
        values: view.seconds(sum),
        told: `${count(view.total(sum))} in all`,
      };
    }),
  };
}

export function latency(view: View): Plot {
  const line = (
    name: string,
    options: { action: Action; at: 'p50' | 'p99'; colour: number; dashed?: boolean },
  ): Series => {
    const { action, at, ...look } = options;
    const seen = view.highest(({ latency }) => latency[action]?.[at]);
    return { name, ...look, values: seen, told: peak(seen, duration) };
  };
  return {
    id: 'latency',
    title: 'Latency',
    measure: 'of each step, from the scheduled start, log scale',
    unit: 'ms',
    kind: 'lines',
    log: true,
    at: view.middles,
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
