import type { SpikeRecord } from '../record/record.ts';
import { bestSecond } from '../record/seconds.ts';
import { headlineOf } from './headline.ts';
import { readRecord } from './record-file.ts';
import { actionWords, table } from './summary.ts';
import { bytes, count, duration, spoken } from './words.ts';

/**
 * Compares two runs, as lines for the terminal: what differs in their set-up, then the main figures
 * with their ratio.
 * @throws RecordFileError when a file is not a record of a run
 */
export function compare(fileA: string, fileB: string): string {
  const [a, b] = [readRecord(fileA), readRecord(fileB)];
  const heads = [
    ['', 'file', 'started', 'came to'],
    ['A', fileA, a.startedAt, headlineOf(a).word.toLowerCase()],
    ['B', fileB, b.startedAt, headlineOf(b).word.toLowerCase()],
  ];
  const lines = [...table(heads, 'left'), ''];
  const told = differences(a, b);
  if (told.length === 0) lines.push('Same scenario, parameters, configuration and machine.');
  else lines.push('Not run alike:', ...table([['', 'A', 'B'], ...told], 'left'));
  lines.push(...warnings(a, b, told), '', ...table([['', 'A', 'B', 'B ÷ A'], ...figureRows(a, b)]));
  return `${lines.join('\n')}\n`;
}

/** Differences that make two runs hard to compare. */
const deciding = new Set(['scenario', 'scale', 'speed', 'CPU', 'cores', 'memory', 'platform']);

function differences(a: SpikeRecord, b: SpikeRecord): string[][] {
  const [ofA, ofB] = [settingOf(a), settingOf(b)];
  const names = [...new Set([...Object.keys(ofA), ...Object.keys(ofB)])];
  return names.flatMap((name) => {
    const [inA = '–', inB = '–'] = [ofA[name], ofB[name]];
    return inA === inB ? [] : [[name, inA, inB]];
  });
}

function settingOf(record: SpikeRecord): Record<string, string> {
  const { scenario, parameters, plan, engine, machine, versions, sale } = record;
  const named = Object.entries(parameters).map(([name, value]) => [
    `parameter ${name}`,
    String(value),
  ]);
  return {
    scenario: scenario.name,
    scale: String(plan.scale),
    speed: String(plan.speed),
    seed: String(plan.seed),
    units: count(sale.units),
    buyers: count(sale.buyers),
    appointments: count(sale.appointments),
    'load processes': count(plan.processes),
    ...Object.fromEntries(named),
    engine: engine.own ? 'started for the run' : engine.url,
    'api processes': engine.apiProcesses === undefined ? 'not told' : count(engine.apiProcesses),
    redis: engine.redis,
    ledger: engine.ledger,
    CPU: machine.cpu,
    cores: count(machine.cores),
    memory: bytes(machine.memoryBytes),
    platform: machine.platform,
    'flashdrop version': versions.flashdrop,
    'Node.js version': versions.node,
    'Redis version': versions.redis,
  };
}

function warnings(a: SpikeRecord, b: SpikeRecord, told: readonly string[][]): string[] {
  const invalid = [a, b].flatMap((record, index) =>
    record.pacing.valid ? [] : [`WARNING  ${'AB'[index]} is invalid: its figures are no result.`],
  );
  const broken = [a, b].flatMap((record, index) =>
    record.verdict.clean ? [] : [`WARNING  ${'AB'[index]} broke a promise.`],
  );
  const names = told.map(([name = '']) => name);
  const grave = names.filter((name) => deciding.has(name) || name.startsWith('parameter '));
  const unlike =
    grave.length > 0
      ? [`WARNING  Not comparable: ${grave.join(', ')} differ${grave.length === 1 ? 's' : ''}.`]
      : [];
  return [...invalid, ...broken, ...unlike];
}

type Row = {
  name: string;
  get(record: SpikeRecord): number | undefined;
  tell(value: number): string;
};

function figureRows(a: SpikeRecord, b: SpikeRecord): string[][] {
  const latency = (action: 'buy_accepted' | 'buy_refused' | 'look'): Row[] =>
    (['p50', 'p99'] as const).map((at) => ({
      name: `${actionWords[action]}, ${at}`,
      get: (record) => record.latency[action]?.[at],
      tell: duration,
    }));
  const codes = new Set([...Object.keys(a.outcome.refused), ...Object.keys(b.outcome.refused)]);
  const rows: Row[] = [
    { name: 'all units taken after', get: (r) => r.outcome.allAcceptedAtMs, tell: duration },
    { name: 'accepted', get: (r) => r.outcome.accepted, tell: count },
    {
      name: 'peak accepted a second',
      get: ({ timeline }) => bestSecond(timeline, ({ accepted }) => accepted),
      tell: count,
    },
    { name: 'scheduled acts sent', get: (r) => r.pacing.sent, tell: count },
    { name: 'follow-ups', get: (r) => r.outcome.followUps, tell: count },
    ...latency('buy_accepted'),
    ...latency('buy_refused'),
    ...latency('look'),
    ...[...codes].sort().map((code) => ({
      name: `refused: ${spoken(code)}`,
      get: (record: SpikeRecord) => record.outcome.refused[code] ?? 0,
      tell: count,
    })),
    { name: 'settled after', get: (r) => r.outcome.settledAtMs, tell: duration },
    { name: 'load behind, p99', get: (r) => r.pacing.behindMs.p99, tell: duration },
    { name: 'breaches', get: (r) => r.verdict.breaches.length, tell: count },
  ];
  return rows.flatMap(({ name, get, tell }) => {
    const [inA, inB] = [get(a), get(b)];
    if (inA === undefined && inB === undefined) return [];
    const ratio = inA && inB !== undefined ? (inB / inA).toFixed(2) : '–';
    const cell = (value: number | undefined) => (value === undefined ? '–' : tell(value));
    return [[name, cell(inA), cell(inB), ratio]];
  });
}
