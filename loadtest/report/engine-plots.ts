import type { EngineMoment, QueuesMoment } from '../record/record.ts';
import { colours, type Plot, peak, type Series } from './series.ts';
import type { View } from './view.ts';
import { bytes, count } from './words.ts';

// What the engine reported, and what its processes used.

/** The engine is not read in every step; a longer silence shows as a gap, in ms. */
const joinMs = 5_000;

function told(view: View, get: (engine: EngineMoment) => number | undefined) {
  return view.latest(({ engine }) => engine && get(engine));
}

export function stock(view: View, units: number): Plot {
  const layer = (name: 'sold' | 'held' | 'available', colour: number): Series => {
    const seen = told(view, ({ units }) => units?.[name]);
    const last = seen.findLast((value) => value !== undefined);
    return {
      name,
      colour,
      values: seen,
      told: last === undefined ? '–' : `${count(last)} at the end`,
    };
  };
  return {
    id: 'stock',
    title: 'Stock',
    measure: 'units',
    unit: 'count',
    kind: 'stack',
    at: view.middles,
    atLeast: units,
    joinMs,
    series: [layer('sold', 0), layer('held', 1), layer('available', 6)],
  };
}

export function settlement(view: View): Plot {
  const lag = told(view, ({ units }) => units?.settlementLag);
  const reserved = told(view, ({ units }) => units?.ledger.reserved);
  return {
    id: 'settlement',
    title: 'Settlement lag',
    measure: 'orders',
    unit: 'count',
    kind: 'lines',
    at: view.middles,
    joinMs,
    series: [
      { name: 'sold, not yet paid in the ledger', colour: 0, values: lag, told: peak(lag) },
      {
        name: 'reserved in the ledger',
        colour: 1,
        dashed: true,
        values: reserved,
        told: peak(reserved),
      },
    ],
  };
}

export function queues(view: View): Plot {
  const line = (name: string, colour: number, get: (queues: QueuesMoment) => number): Series => {
    const seen = told(view, ({ queues }) => queues && get(queues));
    return { name, colour, dashed: colour > 1, values: seen, told: peak(seen) };
  };
  return {
    id: 'queues',
    title: 'Outbox and queue',
    measure: 'waiting',
    unit: 'count',
    kind: 'lines',
    at: view.middles,
    joinMs,
    series: [
      line('outbox entries', 0, ({ outboxBacklog }) => outboxBacklog),
      line('settlement jobs waiting', 1, ({ waiting }) => waiting),
      line('settlement jobs active', 2, ({ active }) => active),
    ],
  };
}

export function cpu(view: View, cores: number): Plot {
  return {
    id: 'cpu',
    title: 'CPU by process',
    measure: 'cores busy',
    unit: 'cores',
    kind: 'stack',
    at: view.middles,
    atLeast: cores,
    series: perProcess(
      view,
      ({ cpu }) => cpu,
      (value) => value.toFixed(2),
    ),
  };
}

export function memory(view: View): Plot {
  return {
    id: 'memory',
    title: 'Memory by process',
    measure: 'resident',
    unit: 'bytes',
    kind: 'lines',
    at: view.middles,
    series: perProcess(view, ({ memoryBytes }) => memoryBytes, bytes),
  };
}

function perProcess(
  view: View,
  get: (process: EngineMoment['processes'][number]) => number,
  format: (value: number) => string,
): Series[] {
  const names = new Set(
    view.moments.flatMap(({ engine }) => engine?.processes.map(({ name }) => name) ?? []),
  );
  return [...names].map((name, index) => {
    const seen = told(view, ({ processes }) => {
      const own = processes.filter((process) => process.name === name);
      return own.length > 0 ? own.reduce((sum, process) => sum + get(process), 0) : undefined;
    });
    const dashed = index >= colours || name.startsWith('load');
    return { name, colour: index % colours, dashed, values: seen, told: peak(seen, format) };
  });
}
