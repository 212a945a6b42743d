import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { suggestion } from '../../src/config/settings.ts';
import { parameterNames, parameterTable, refusedValue } from '../workload/parameters.ts';
import type { Scenario } from './scenario.ts';

/** A file that holds no scenario; a line for each thing that is wrong. */
export class ScenarioFileError extends Error {}

const parameters = z
  .partialRecord(z.enum(parameterNames), z.number())
  .describe('How the crowd behaves; a parameter that is left out has its default');

const real = z
  .strictObject({
    title: z.string().min(1),
    date: z.string().min(1),
    units: z.int().min(1),
    appointments: z.int().min(0).optional(),
    soldOutMs: z.number().min(0).optional(),
    source: z.string().min(1).describe('Where these figures are from'),
  })
  .describe('A sale of the past to set the replay beside');

/** A scenario in a file of its own, for `npm run spike -- --scenario FILE.json`. */
export const scenarioSchema = z.strictObject({
  $schema: z.string().optional(),
  name: z
    .string()
    .regex(/^[a-z0-9-]{1,50}$/)
    .describe('Lower-case letters, digits and hyphens: it names the report'),
  title: z.string().min(1).max(200),
  story: z.string().optional(),
  real: real.optional(),
  parameters,
});

/** @throws ScenarioFileError with everything that is wrong */
export function readScenarioFile(file: string): Scenario {
  const json = readJson(file);
  const { success, data, error } = scenarioSchema.safeParse(json);
  const problems = success ? [] : error.issues.map(describe);
  if (success) {
    for (const [name, value] of Object.entries(data.parameters)) {
      const refused = refusedValue(name as keyof typeof data.parameters, value);
      if (refused) problems.push(`parameters.${refused}`);
    }
  }
  if (!success || problems.length > 0) {
    throw new ScenarioFileError(problems.map((text) => `${file}: ${text}`).join('\n'));
  }
  const { $schema: _, story = '', real: past, ...scenario } = data;
  if (!past) return { ...scenario, story };
  const { appointments, soldOutMs, ...told } = past;
  return { ...scenario, story, real: { ...told, appointments, soldOutMs } };
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = { ENOENT: 'there is no such file' };
    const reason = code === undefined ? `it is not JSON (${message})` : (reasons[code] ?? message);
    throw new ScenarioFileError(`${file} cannot be read: ${reason}`);
  }
}

function describe({ path, ...issue }: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(path[0] === 'parameters' ? parameterTable : scenarioSchema.shape);
    return issue.keys
      .map((key) => `"${[...path, key].join('.')}" is not known${suggestion(key, known)}`)
      .join('; ');
  }
  // An unknown name of a parameter is an invalid key of the record.
  if (issue.code === 'invalid_key') {
    const name = String(path.at(-1));
    return `"${name}" is no parameter${suggestion(name, parameterNames)}`;
  }
  return `${path.length === 0 ? 'the scenario' : path.join('.')}: ${issue.message}`;
}
