import type { Plot } from './series.ts';
import { bytes, count, duration } from './words.ts';

/** The position of a value on an axis, 0 to 1, and the grid lines with their labels. */
export type Axis = {
  place(value: number): number;
  ticks: { at: number; label: string }[];
};

const mebibyte = 1_048_576;
const yTicks = 4;
const xTicks = 7;

/** Round steps: 1, 2 or 5 times a power of ten. */
export function step(range: number, ticks: number): number {
  const rough = range / ticks;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((n) => n * power >= rough) ?? 10);
}

export function valueAxis(plot: Plot, top: number): Axis {
  if (plot.log) return logAxis(top);
  const unit = plot.unit === 'bytes' ? mebibyte : 1;
  const most = Math.max(top, plot.atLeast ?? 0) / unit || 1;
  const wide = plot.unit === 'count' ? Math.max(1, step(most, yTicks)) : step(most, yTicks);
  const lines = Math.ceil(most / wide - 1e-9);
  const label = (value: number) => (plot.unit === 'bytes' ? bytes(value * unit) : count(value));
  return {
    place: (value) => value / unit / (lines * wide),
    ticks: Array.from({ length: lines + 1 }, (_, n) => ({
      at: n / lines,
      // Sums of fractions such as 0.1 have a rounding error.
      label: label(Number((n * wide).toPrecision(12))),
    })),
  };
}

/** Powers of ten from 0.1 ms on. */
function logAxis(top: number): Axis {
  const low = -1;
  const high = Math.max(2, Math.ceil(Math.log10(Math.max(top, 1))));
  const powers = Array.from({ length: high - low + 1 }, (_, n) => low + n);
  return {
    place: (value) => Math.max(0, (Math.log10(Math.max(value, 0.1)) - low) / (high - low)),
    ticks: powers.map((power) => ({
      at: (power - low) / (high - low),
      label: power < 3 ? duration(10 ** power) : `${count(10 ** (power - 3))} s`,
    })),
  };
}

/** From the first step to the last, always including the opening; in ms. */
export function timeSpan(at: readonly number[]): { from: number; to: number } {
  return { from: Math.min(0, at[0] ?? 0), to: Math.max(1_000, at.at(-1) ?? 0) };
}

export function timeAxis(at: readonly number[]): Axis {
  const { from, to } = timeSpan(at);
  const wide = step(to - from, xTicks);
  const ticks: Axis['ticks'] = [];
  for (let value = Math.ceil(from / wide) * wide; value <= to; value += wide) {
    const seconds = count(Math.abs(value) / 1_000);
    const sign = value < 0 ? '−' : '';
    ticks.push({ at: (value - from) / (to - from), label: `${sign}${seconds} s` });
  }
  return { place: (value) => (value - from) / (to - from), ticks };
}
