import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { readScenarioFile, scenarioSchema } from '../../loadtest/scenarios/scenario-file.ts';
import { readSpikeCommand } from '../../loadtest/spike/options.ts';
import { fitted, resolveParameters } from '../../loadtest/workload/parameters.ts';
import { wanted } from '../../loadtest/workload/people.ts';
import { openRandom } from '../../loadtest/workload/random.ts';

const example = (name: string) =>
  fileURLToPath(new URL(`../../loadtest/examples/${name}`, import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flashdrop scenario '));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function refusalOf(text: string): string {
  const file = join(folder, 'own.json');
  writeFileSync(file, text);
  const command = readSpikeCommand(['--scenario', file]);
  return command.kind === 'refused' ? command.problems.join('\n') : command.kind;
}

test('a scenario is read from a file of JSON, and one that is wrong is refused with a line for each mistake', () => {
  const command = readSpikeCommand(['--scenario', example('scenario.json'), '--scale', '0.5']);
  expect(command).toMatchObject({
    kind: 'run',
    options: {
      scenario: { name: 'sneakers-lunch' },
      // What the file leaves out has its default.
      parameters: { units: 1_000, people: 6_000, waves: 1, doubleTap: 0.08 },
      report: 'spike-sneakers-lunch.html',
    },
  });
  const rest = '"name": "own", "title": "Own"';
  expect(refusalOf(`{${rest}, "parameters": {}}`)).toBe('run');
  expect(refusalOf('{')).toMatch(/own\.json cannot be read: it is not JSON/);
  expect(refusalOf('[]')).toMatch(/the scenario: .*expected object/);
  expect(refusalOf('{"title": "Own", "parameters": {}}')).toMatch(/name: /);
  expect(refusalOf(`{${rest}}`)).toMatch(/parameters: /);
  expect(refusalOf(`{${rest}, "params": {}}`)).toMatch(/"params" is not known/);
  expect(refusalOf(`{${rest}, "parameters": {"peopel": 3}}`)).toMatch(
    /"parameters\.peopel".*people/,
  );
  expect(refusalOf(`{${rest}, "parameters": {"people": "3"}}`)).toMatch(
    /parameters\.people: .*number/,
  );
  expect(refusalOf(`{${rest}, "parameters": {"people": 0}}`)).toMatch(/people must be at least 1/);
  const two = refusalOf(`{${rest}, "parameters": {"doubleTap": 2, "units": 1.5}}`);
  expect(two.split('\n')).toHaveLength(2);
  const none = readSpikeCommand(['--scenario', join(folder, 'none.json')]);
  expect(none).toMatchObject({ problems: [expect.stringMatching(/there is no such file/)] });
});

test('the JSON Schema of scenarios that is shipped is the one that files are read by', () => {
  const shipped = JSON.parse(readFileSync(example('scenario.schema.json'), 'utf8'));
  expect(shipped).toEqual(z.toJSONSchema(scenarioSchema, { io: 'input' }));
  expect(readScenarioFile(example('scenario.json')).real).toBeUndefined();
});

test('a rehearsal needs an engine that has the drop, and its crowd is as large for each unit as in the scenario', () => {
  const refused = (...args: string[]) => {
    const command = readSpikeCommand(args);
    return command.kind === 'refused' ? command.problems.join('; ') : command.kind;
  };
  const drop = 'drop_0123456789ab';
  const at = ['--url', 'http://127.0.0.1:1', '--merchant-key', 'k'];
  expect(refused('--drop', drop)).toMatch(/--drop needs --url/);
  expect(refused('--drop', 'mine', ...at)).toMatch(/"mine" is no id of a drop/);
  expect(refused('--drop', drop, ...at)).toBe('run');

  const scenario = { units: 1_000, people: 5_000, bots: 10, appointments: 0 };
  const parameters = resolveParameters({ scenario, scale: 1, speed: 1, set: {} });
  const of = (units: number, byAppointment: boolean, set = {}) => {
    const { people, bots, appointments } = fitted(parameters, { units, byAppointment, set });
    return [people, bots, appointments];
  };
  expect(of(200, false)).toEqual([1_000, 2, 0]);
  expect(of(200, true)).toEqual([1_000, 2, 1_000]);
  expect(of(200, false, { people: 5_000 })).toEqual([5_000, 2, 0]);
});

test('a crowd wants each item as often as there are units of it', () => {
  const items = [{ units: 700 }, { units: 100 }, { units: 200 }].map((item, n) => {
    return { ...item, sku: String(n) };
  });
  const chosen = [0, 0, 0];
  for (let buyer = 0; buyer < 10_000; buyer += 1) {
    const n = wanted(items, openRandom(7, buyer));
    chosen[n] = (chosen[n] ?? 0) + 1;
  }
  for (const [n, { units }] of items.entries()) {
    expect(Math.abs((chosen[n] ?? 0) / 10 - units)).toBeLessThan(20);
  }
});
