import { createHash } from 'node:crypto';
import type { Faults } from './protocol.ts';

export const noFaults: Faults = {
  lose: 0,
  delay: 0,
  delayMs: 1_000,
  repeat: 0,
  repeats: 2,
  reorder: 0,
  forge: 0,
  fail: 0,
  refuse: 0,
  hang: 0,
  slow: 0,
  slowMs: 1_000,
  captureAfterClose: 0,
};

/** The settings that are no probabilities, and their upper bounds. */
const most = { delayMs: 600_000, repeats: 100, slowMs: 600_000 } as const;
type Measure = keyof typeof most;
export type Chance = Exclude<keyof Faults, Measure>;

export type FaultPlan = {
  settings(): Faults;
  /** Changes the given settings; a seed restarts the random choices. */
  set(change: Partial<Faults>, seed?: number): void;
  /** Whether this fault happens now, for this reference. */
  happens(chance: Chance, about: string): boolean;
  /** One of several, chosen at random like `happens`. */
  pick<T>(list: readonly [T, ...T[]], about: string): T;
};

/**
 * Decides at random which faults happen. A choice depends only on the seed, the reference and how
 * often the same was asked before. Calls about other references do not change it, in whatever order
 * they come, so a parallel run can be repeated.
 */
export function openFaultPlan(firstSeed: number): FaultPlan {
  let seed = firstSeed;
  let faults = noFaults;
  const asked = new Map<string, number>();

  /** From 0 to below 1. */
  function draw(what: string, about: string): number {
    const event = `${what} ${about}`;
    const nth = asked.get(event) ?? 0;
    asked.set(event, nth + 1);
    const digest = createHash('sha256').update(`${seed} ${nth} ${event}`).digest();
    return digest.readUInt32BE() / 2 ** 32;
  }

  return {
    settings: () => ({ ...faults }),
    set(change, newSeed) {
      faults = { ...faults, ...change };
      if (newSeed === undefined) return;
      seed = newSeed;
      asked.clear();
    },
    happens: (chance, about) => faults[chance] > 0 && draw(chance, about) < faults[chance],
    pick: (list, about) => list[Math.floor(draw('pick', about) * list.length)] ?? list[0],
  };
}

/** Reads fault settings from a request; returns a text that says what is wrong with them. */
export function readFaults(given: Record<string, unknown>): Partial<Faults> | string {
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(noFaults, name)) {
      return `${name} is no fault: it must be one of ${Object.keys(noFaults).join(', ')}`;
    }
    const limit = Object.hasOwn(most, name) ? most[name as Measure] : undefined;
    const whole = limit !== undefined;
    const good = typeof value === 'number' && value >= 0 && value <= (limit ?? 1);
    if (!good || (whole && !Number.isInteger(value))) {
      return `${name} must be ${whole ? `a whole number from 0 to ${limit}` : 'a chance from 0 to 1'}`;
    }
  }
  return given as Partial<Faults>;
}
