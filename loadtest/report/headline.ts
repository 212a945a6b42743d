import type { SpikeRecord } from '../record/record.ts';
import { count, duration, plural } from './words.ts';

/** The result of a run, in a word and a sentence. An invalid run has none. */
export type Headline = { tone: 'clean' | 'broken' | 'invalid'; word: string; sentence: string };

export function headlineOf(record: SpikeRecord): Headline {
  const { pacing, verdict } = record;
  if (!pacing.valid) {
    const { p99, max } = pacing.behindMs;
    const behind = `requests left up to ${duration(max)} late (99 %: within ${duration(p99)})`;
    return {
      tone: 'invalid',
      word: 'Invalid run',
      sentence: `This run is not a result: ${sentence(pacing.reason ?? behind)}${verdict.clean ? '' : ` ${found(record)}`}`,
    };
  }
  if (!verdict.clean) {
    return {
      tone: 'broken',
      word: 'Broken promise',
      sentence: `${found(record)} ${sold(record)}`,
    };
  }
  return { tone: 'clean', word: 'Clean', sentence: `${sold(record)} Every promise held.` };
}

function found({ verdict }: SpikeRecord): string {
  const points = verdict.points.filter(({ ok }) => !ok);
  const named = points.map(({ point, promise }) => `${checkWord(point)} (promise ${promise})`);
  const where = named.length > 0 ? ` at ${named.join(', ')}` : '';
  return `The auditor found ${plural(verdict.breaches.length, 'breach', 'breaches')}${where}.`;
}

export function checkWord(point: string): string {
  return point === 'audit' ? "the engine's audit" : `(${point})`;
}

function sold({ outcome, sale }: SpikeRecord): string {
  const { accepted, allAcceptedAtMs } = outcome;
  if (allAcceptedAtMs !== undefined) {
    return `All ${plural(sale.units, 'unit')} were taken ${duration(allAcceptedAtMs)} after the opening.`;
  }
  return `${plural(accepted, 'order')} accepted for ${plural(sale.units, 'unit')}.`;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** The replayed sale of the past, for comparison. */
export function besideRows(
  record: SpikeRecord,
): { label: string; real: string; ours: string }[] | undefined {
  const { real } = record.scenario;
  if (!real) return undefined;
  const { sale, outcome } = record;
  const { appointments, soldOutMs } = real;
  const soldOut = (ms: number | undefined) => (ms === undefined ? 'not told' : duration(ms));
  return [
    { label: 'Units', real: count(real.units), ours: count(sale.units) },
    {
      label: 'Appointments',
      real: appointments === undefined ? 'not told' : count(appointments),
      ours: count(sale.appointments),
    },
    {
      label: 'Gone after',
      real: soldOut(soldOutMs),
      ours:
        outcome.allAcceptedAtMs === undefined ? 'not sold out' : duration(outcome.allAcceptedAtMs),
    },
    {
      label: 'Units a second, over that time',
      real: soldOutMs === undefined ? 'not told' : count(perSecond(real.units, soldOutMs)),
      ours:
        outcome.allAcceptedAtMs === undefined
          ? '–'
          : count(perSecond(sale.units, outcome.allAcceptedAtMs)),
    },
  ];
}

function perSecond(units: number, ms: number): number {
  return units / (Math.max(ms, 1) / 1_000);
}

/** The scale of the run, so that a small replay is not taken for a whole one. */
export function planLine({ plan, sale }: SpikeRecord): string {
  const { scale, speed, seed, processes } = plan;
  return [
    `scale ${scale}`,
    `speed ${speed}`,
    `seed ${seed}`,
    plural(processes, 'load process', 'load processes'),
    plural(sale.buyers, 'buyer'),
  ].join(' · ');
}
