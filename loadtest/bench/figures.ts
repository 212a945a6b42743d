import { cpus, totalmem } from 'node:os';

/** A measured figure and the bound it is held to. */
export type Figure = {
  name: string;
  value: number;
  unit: string;
  /** At least. */
  min?: number;
  /** At most. */
  max?: number;
  /** How it was measured, in a line. */
  how: string;
};

export type Judged = Omit<Figure, 'how'> & { ok: boolean };

export function judge({ how: _, ...figure }: Figure): Judged {
  const ok =
    (figure.min === undefined || figure.value >= figure.min) &&
    (figure.max === undefined || figure.value <= figure.max);
  return { ...figure, ok };
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** Three significant digits: more would claim what a noisy machine does not give. */
export function rounded(value: number): number {
  return value >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}

export function environment(redisVersion: string) {
  const [cpu] = cpus();
  return {
    node: process.version,
    redis: redisVersion,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    at: new Date().toISOString(),
  };
}

export function line(figure: Figure): string {
  const bound = figure.min !== undefined ? `at least ${figure.min}` : `at most ${figure.max}`;
  const held = figure.min === undefined && figure.max === undefined ? 'no bound' : bound;
  const verdict = judge(figure).ok ? 'ok  ' : 'FAIL';
  const value = `${rounded(figure.value)} ${figure.unit}`;
  return `${verdict} ${figure.name.padEnd(26)} ${value.padEnd(22)} ${held.padEnd(15)} ${figure.how}`;
}
