import { expect, test } from 'vitest';
import type { OpenRun } from '../../loadtest/bench/load/open-crowd.ts';
import { figuresOf, unpaced } from '../../loadtest/bench/measures/overload.ts';
import { readBenchCommand } from '../../loadtest/bench/options.ts';
import { parts } from '../../loadtest/bench/parts.ts';
import {
  document,
  environment,
  exitCodes,
  type Figure,
  line,
  type Measured,
  verdict,
} from '../../loadtest/bench/support/figures.ts';

const atLeast: Figure = { name: 'rate', value: 2, unit: 'x', min: 1, how: 'so', why: 'because' };
const atMost: Figure = { name: 'cost', value: 2, unit: 'x', max: 1, how: 'so', why: 'because' };
const free: Figure = { name: 'free', value: 2, unit: 'x', how: 'so' };
const unmeasured: Measured = { name: 'hard', reason: 'the load came late', budget: true };
const missing: Measured = { name: 'sql', reason: 'no server here', budget: false };

test('a budget that is missed is named with its reason, one that is held without', () => {
  expect(line(atMost)).toContain('FAIL');
  expect(line(atMost)).toContain('cost falls short: because');
  expect(line(atLeast)).toMatch(/^ok {3}rate /);
  expect(line(atLeast)).not.toContain('because');
  const { figures } = document([atLeast, atMost, free], environment('7.0'));
  expect(figures).toEqual([
    { name: 'rate', value: 2, unit: 'x', min: 1, ok: true },
    { name: 'cost', value: 2, unit: 'x', max: 1, ok: false, why: 'because' },
    { name: 'free', value: 2, unit: 'x', ok: true },
  ]);
});

test('a run is good only when every budget was measured and held', () => {
  expect(verdict([atLeast, free])).toBe(exitCodes.held);
  expect(verdict([atLeast, missing])).toBe(exitCodes.held);
  expect(verdict([atLeast, unmeasured])).toBe(exitCodes.unmeasured);
  expect(verdict([unmeasured, atMost])).toBe(exitCodes.missed);
});

test('what could not be measured is told with its reason, and as no figure', () => {
  const told = document([missing, free], environment('7.0'));
  expect(told.figures.map(({ name }) => name)).toEqual(['free']);
  expect(told.leftOut).toEqual([{ name: 'sql', reason: 'no server here' }]);
  expect(line(missing)).toContain('left out: no server here');
});

test('every part is taken by its name alone, and the parts together are the default', () => {
  for (const { name } of parts) {
    const command = readBenchCommand(['--only', name]);
    expect(command.kind === 'run' && command.options.parts.map((part) => part.name)).toEqual([
      name,
    ]);
  }
  const all = readBenchCommand([]);
  expect(all.kind === 'run' && all.options).toEqual({ rounds: 3, json: undefined, parts });
});

test('a misspelt flag, part or number is refused with what was meant', () => {
  const told = (...args: string[]) => {
    const command = readBenchCommand(args);
    return command.kind === 'refused' ? command.problems.join('; ') : command.kind;
  };
  expect(told('--help')).toBe('say');
  expect(told('--only', 'sold-uot')).toContain('sold-out');
  expect(told('--rounds', '0')).toContain('--rounds must be');
  expect(told('--rounds', '1e1')).toContain('--rounds must be');
  expect(told('--jsn', 'file')).toContain('--jsn');
  expect(told('buy')).toContain('"buy" is not understood');
});

const run: OpenRun = {
  rate: 900,
  scheduled: 4_500,
  sent: 4_500,
  acceptedPerSecond: 300,
  refused: {},
  accepted: { count: 1_500, p99: 80, max: 90 },
  behindMs: { p99: 20, max: 900 },
  cpu: {},
  memoryBytes: 0,
};

test('a crowd that left late or not whole is no overload: the run says by how much', () => {
  const late = { ...run, behindMs: { p99: 700, max: 900 } };
  expect(unpaced(run)).toBeUndefined();
  expect(unpaced(late)).toContain('700 ms or more behind');
  expect(unpaced({ ...run, sent: 4_000 })).toContain('4000 of 4500');
  expect(figuresOf([{ atPeak: run, above: late }])).toEqual([
    { name: 'overload_goodput_ratio', reason: unpaced(late), budget: true },
  ]);
});

test('goodput under overload is judged by the pairs whose crowd kept to its schedule', () => {
  const late = { ...run, acceptedPerSecond: 1, behindMs: { p99: 700, max: 900 } };
  const above = { ...run, acceptedPerSecond: 150 };
  const figures = figuresOf([
    { atPeak: run, above: late },
    { atPeak: run, above },
  ]);
  const ratio = figures.find(({ name }) => name === 'overload_goodput_ratio');
  expect(ratio).toMatchObject({ value: 0.5, min: 0.9, how: expect.stringContaining('1 of 2') });
});
