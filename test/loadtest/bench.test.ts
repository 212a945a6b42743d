import { expect, test } from 'vitest';
import {
  document,
  environment,
  exitCodes,
  type Figure,
  line,
  type Measured,
  verdict,
} from '../../loadtest/bench/figures.ts';
import { readBenchCommand } from '../../loadtest/bench/options.ts';
import { parts } from '../../loadtest/bench/parts.ts';

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
