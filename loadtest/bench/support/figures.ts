import { cpus, totalmem } from 'node:os';

/** A measured figure and its budget. */
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
  /** What is known to limit it, printed when the budget is missed. */
  why?: string;
};

/** A figure that could not be measured here. */
export type LeftOut = {
  name: string;
  reason: string;
  /** Whether a budget could not be judged, which fails the run too. */
  budget: boolean;
};

export type Measured = Figure | LeftOut;

export type Judged = Omit<Figure, 'how'> & { ok: boolean };

export function isLeftOut(measured: Measured): measured is LeftOut {
  return 'reason' in measured;
}

export function judge({ how: _, why, ...figure }: Figure): Judged {
  const ok =
    (figure.min === undefined || figure.value >= figure.min) &&
    (figure.max === undefined || figure.value <= figure.max);
  return { ...figure, ok, ...(ok || why === undefined ? {} : { why }) };
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** Three significant digits: a noisy machine gives no more. */
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

/** The terminal's text for a figure: one line, and a second when it misses its budget. */
export function line(measured: Measured): string {
  if (isLeftOut(measured)) return `--   ${measured.name.padEnd(26)} left out: ${measured.reason}`;
  const { name, unit, min, max, how } = measured;
  const bound = min !== undefined ? `at least ${min}` : `at most ${max}`;
  const held = min === undefined && max === undefined ? 'no bound' : bound;
  const { ok, why } = judge(measured);
  const value = `${rounded(measured.value)} ${unit}`;
  const told = `${ok ? 'ok  ' : 'FAIL'} ${name.padEnd(26)} ${value.padEnd(22)} ${held.padEnd(15)} ${how}`;
  return why === undefined ? told : `${told}\n     ${name} falls short: ${why}`;
}

/** Exit codes. */
export const exitCodes = { held: 0, missed: 1, misused: 2, unmeasured: 3 } as const;

/** Missed budgets come before those that could not be measured. */
export function verdict(all: Measured[]): number {
  if (all.some((measured) => !isLeftOut(measured) && !judge(measured).ok)) return exitCodes.missed;
  const unmeasured = all.some((measured) => isLeftOut(measured) && measured.budget);
  return unmeasured ? exitCodes.unmeasured : exitCodes.held;
}

/** What `--json` writes. */
export function document(all: Measured[], where: ReturnType<typeof environment>) {
  const leftOut = all.filter(isLeftOut).map(({ name, reason }) => ({ name, reason }));
  return {
    figures: all.flatMap((measured) => (isLeftOut(measured) ? [] : judge(measured))),
    ...(leftOut.length > 0 ? { leftOut } : {}),
    environment: where,
  };
}
