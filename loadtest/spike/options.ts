import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { suggestion } from '../../src/config/settings.ts';
import { isDropId } from '../../src/domain/ids.ts';
import { scenarios } from '../scenarios/all.ts';
import type { Scenario } from '../scenarios/scenario.ts';
import { readScenarioFile } from '../scenarios/scenario-file.ts';
import {
  type ParameterName,
  type Parameters,
  parameterNames,
  parameterTable,
  refusedValue,
  resolveParameters,
} from '../workload/parameters.ts';

export type SpikeOptions = {
  scenario: Scenario;
  parameters: Parameters;
  /** What was set by hand. */
  set: Partial<Parameters>;
  /** A drop of the target's merchant, a copy of which is sold instead of the scenario's. */
  rehearsed: string | undefined;
  scale: number;
  speed: number;
  seed: number;
  processes: number;
  /** A running engine in demo mode; otherwise one is started for the run. */
  target: { url: string; merchantKey: string; opsUrl: string | undefined } | undefined;
  json: string | undefined;
  report: string;
  /** The command line that repeats this run. */
  command: string;
};

export type SpikeCommand =
  | { kind: 'run'; options: SpikeOptions }
  | { kind: 'compare'; files: [string, string] }
  | { kind: 'say'; text: string }
  | { kind: 'refused'; problems: string[] };

const processesMax = 64;

export function usage(): string {
  const names = scenarios.map(({ name, title }) => `  ${name.padEnd(20)} ${title}`);
  const rows = parameterNames.map((name) => {
    const { value, unit, why } = parameterTable[name];
    return `  ${name.padEnd(14)} ${`${value} ${unit}`.padEnd(16)} ${why}`;
  });
  return `npm run spike -- --scenario NAME [flags]       replays a sale, audits it, writes the report
npm run spike -- compare A.json B.json         sets two results side by side

  --scale S         of units and crowd (1)
  --speed S         compresses the crowd's times (1)
  --seed N          draws another crowd (1)
  --processes N     load processes (by cores)
  --scenario FILE.json  a scenario of your own (loadtest/examples/scenario.json is one)
  --drop DROP       rehearses a drop of yours at --url: sells a copy of it, with the same items and
                    rules, to the scenario's crowd at the size that fits. DROP itself sells nothing.
  --set NAME=VALUE  a parameter of the crowd, as many as wanted
  --url URL         an engine in demo mode that runs already; needs --merchant-key KEY
  --ops-url URL     where that engine prints its metrics: adds its queues to the record
  --json FILE       the result for machines
  --report FILE     the report, an HTML page that stands alone (spike-NAME.html)
  --list            the scenarios
  --help            this text

Exit: 0 clean, 1 a promise broke, 2 misused, 3 the run is invalid, 4 it could not run.

Scenarios
${names.join('\n')}

Parameters, their defaults and units
${rows.join('\n')}`;
}

export function readSpikeCommand(args: string[]): SpikeCommand {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return { kind: 'refused', problems: [(error as Error).message] };
  }
  const { values, positionals } = parsed;
  if (values.help) return { kind: 'say', text: usage() };
  if (values.list) {
    const lines = scenarios.map(({ name, title, story }) => `${name}: ${title}\n  ${story}`);
    return { kind: 'say', text: lines.join('\n') };
  }
  if (positionals[0] === 'compare') {
    const [, a, b, more] = positionals;
    if (a === undefined || b === undefined || more !== undefined) {
      return { kind: 'refused', problems: ['compare takes two files: compare A.json B.json'] };
    }
    return { kind: 'compare', files: [a, b] };
  }
  const problems = positionals.map((text) => `"${text}" is not understood`);

  function number(name: 'scale' | 'speed' | 'seed' | 'processes', most: number, whole: boolean) {
    const value = Number(values[name]);
    const fits = value > 0 && value <= most && (!whole || Number.isInteger(value));
    if (!fits) {
      problems.push(`--${name} must be a ${whole ? 'whole ' : ''}number above 0, at most ${most}`);
    }
    return value;
  }

  const scenario = readScenario(values.scenario, problems);
  const set = readSet(values.set, problems);
  const scale = number('scale', 100, false);
  const speed = number('speed', 100, false);
  const seed = number('seed', 4_294_967_295, true);
  const processes = number('processes', processesMax, true);
  const target = readTarget(values, problems);
  const { drop: rehearsed } = values;
  if (rehearsed !== undefined && !isDropId(rehearsed)) {
    problems.push(`--drop: "${rehearsed}" is no id of a drop`);
  } else if (rehearsed !== undefined && values.url === undefined) {
    problems.push('--drop needs --url URL: the engine that has the drop');
  }
  if (problems.length > 0 || !scenario) return { kind: 'refused', problems };
  const parameters = resolveParameters({ scenario: scenario.parameters, scale, speed, set });
  const { json, report = `spike-${scenario.name}.html` } = values;
  return {
    kind: 'run',
    options: {
      scenario,
      parameters,
      set,
      rehearsed,
      scale,
      speed,
      seed,
      processes,
      target,
      json,
      report,
      command: ['npm run spike --', ...args]
        .join(' ')
        .replace(/--merchant-key[= ]\S+/, '--merchant-key KEY'),
    },
  };
}

function parse(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      scenario: { type: 'string', default: 'mi2-weibo-2012' },
      scale: { type: 'string', default: '1' },
      speed: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
      processes: { type: 'string', default: String(Math.min(4, availableParallelism())) },
      drop: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
      url: { type: 'string' },
      'merchant-key': { type: 'string' },
      'ops-url': { type: 'string' },
      json: { type: 'string' },
      report: { type: 'string' },
      list: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
}

/** By its name, or from a file of JSON. */
function readScenario(named: string, problems: string[]): Scenario | undefined {
  const known = scenarios.find(({ name }) => name === named);
  if (known) return known;
  if (/\.json$|[/\\]/.test(named)) {
    try {
      return readScenarioFile(named);
    } catch (error) {
      problems.push(...(error as Error).message.split('\n'));
      return undefined;
    }
  }
  const near = suggestion(
    named,
    scenarios.map(({ name }) => name),
  );
  problems.push(`"${named}" is no scenario${near}: --list shows them, a file ends in .json`);
  return undefined;
}

function readSet(pairs: string[], problems: string[]): Partial<Parameters> {
  const set: Partial<Parameters> = {};
  for (const pair of pairs) {
    const [name = '', text = ''] = pair.split('=', 2);
    if (!(parameterNames as string[]).includes(name)) {
      problems.push(`"${name}" is no parameter${suggestion(name, parameterNames)}`);
      continue;
    }
    const known = name as ParameterName;
    const refused = text === '' ? `${name} needs a value` : refusedValue(known, Number(text));
    if (refused) problems.push(refused);
    else set[known] = Number(text);
  }
  return set;
}

function readTarget(
  values: {
    url?: string | undefined;
    'merchant-key'?: string | undefined;
    'ops-url'?: string | undefined;
  },
  problems: string[],
): SpikeOptions['target'] {
  const { url, 'merchant-key': merchantKey, 'ops-url': opsUrl } = values;
  if (url === undefined) {
    if (opsUrl !== undefined) problems.push('--ops-url needs --url URL');
    return undefined;
  }
  if (!URL.canParse(url) || !url.startsWith('http://')) {
    problems.push('--url must be an address such as http://127.0.0.1:8080');
  }
  if (opsUrl !== undefined && !URL.canParse(opsUrl)) {
    problems.push('--ops-url must be an address such as http://127.0.0.1:9464');
  }
  if (merchantKey === undefined) problems.push('--url needs --merchant-key KEY');
  if (problems.length > 0 || merchantKey === undefined) return undefined;
  return {
    url: new URL(url).origin,
    merchantKey,
    opsUrl: opsUrl === undefined ? undefined : new URL(opsUrl).origin,
  };
}
