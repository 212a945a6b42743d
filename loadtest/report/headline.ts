import { type Felt, feltIn } from '../record/felt.ts';
import type { Latency, SpikeRecord } from '../record/record.ts';
import { count, duration, plural, share } from './words.ts';

/** What the buyers of a run felt, or why there is no such figure, in a word and sentences. */
export type Headline = {
  tone: Felt['grade'] | 'broken' | 'invalid';
  word: string;
  sentence: string;
};

const grades = { swift: 'Swift', slow: 'Slow', overloaded: 'Overloaded' } as const;

/** A run that is invalid has no result, and a broken promise outweighs how fast it was broken. */
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
  const felt = feltIn(record);
  const told = [served(felt), howSoon(felt)].filter((text) => text !== '').join(' ');
  if (!verdict.clean) {
    return { tone: 'broken', word: 'Broken promise', sentence: `${found(record)} ${told}` };
  }
  return { tone: felt.grade, word: grades[felt.grade], sentence: told };
}

/** What became of the Buys, as shares of all. Served is who was accepted or refused with a reason. */
function served({ buys, turnedAway, unanswered }: Felt): string {
  if (buys === 0) return 'Nobody pressed Buy.';
  const undecided = turnedAway + unanswered;
  if (undecided === 0) return 'Every Buy was served.';
  const parts = [
    ...(turnedAway > 0 ? [`${share(turnedAway, buys)} were turned away as overloaded`] : []),
    ...(unanswered > 0 ? [`${share(unanswered, buys)} got no answer`] : []),
  ];
  return `${share(buys - undecided, buys)} of the Buys were served; ${parts.join(', ')}.`;
}

function howSoon({ acceptedLatency, refusedLatency }: Felt): string {
  const within = (latency: Latency, who: string) =>
    `Half of the ${who} waited up to ${duration(latency.p50)}, 1 in 100 more than ${duration(latency.p99)}.`;
  return [
    ...(acceptedLatency ? [within(acceptedLatency, 'accepted')] : []),
    ...(refusedLatency ? [within(refusedLatency, 'refused')] : []),
  ].join(' ');
}

/** What the auditor found, in a sentence. */
export function verdictOf(record: SpikeRecord): string {
  const { points, clean } = record.verdict;
  if (!clean) return found(record);
  return `${sold(record)} Every promise held, at ${plural(points.length, 'check')}.`;
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
