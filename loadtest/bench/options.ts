import { parseArgs } from 'node:util';
import { suggestion } from '../../src/config/settings.ts';
import { type Part, parts } from './parts.ts';

export type BenchOptions = { rounds: number; json: string | undefined; parts: Part[] };

export type BenchCommand =
  | { kind: 'run'; options: BenchOptions }
  | { kind: 'say'; text: string }
  | { kind: 'refused'; problems: string[] };

const roundsMax = 50;
const names = parts.map(({ name }) => name);

export function usage(): string {
  const rows = parts.map(({ name, what }) => `  ${name.padEnd(10)} ${what}`);
  return `npm run bench -- [flags]     how far the engine is from its budgets, each a ratio within one run

  --only PART     that part alone; as many as wanted
  --rounds N      of which each figure is the median (3)
  --json FILE     the figures for machines
  --help          this text

Exit: 0 every budget is held, 1 one is missed, 2 misused, 3 one could not be measured.

Parts
${rows.join('\n')}`;
}

export function readBenchCommand(args: string[]): BenchCommand {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return { kind: 'refused', problems: [(error as Error).message] };
  }
  const { values, positionals } = parsed;
  if (values.help) return { kind: 'say', text: usage() };
  const problems = positionals.map((text) => `"${text}" is not understood`);
  for (const name of values.only) {
    if (names.includes(name)) continue;
    problems.push(`"${name}" is no part${suggestion(name, names)}`);
  }
  const rounds = /^\d+$/.test(values.rounds) ? Number(values.rounds) : Number.NaN;
  if (!(rounds >= 1 && rounds <= roundsMax)) {
    problems.push(`--rounds must be a whole number from 1 to ${roundsMax}`);
  }
  if (values.json === '') problems.push('--json needs a file');
  if (problems.length > 0) return { kind: 'refused', problems };
  const wanted = parts.filter(({ name }) => values.only.length === 0 || values.only.includes(name));
  return { kind: 'run', options: { rounds, json: values.json, parts: wanted } };
}

function parse(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean' },
    },
  });
}
