import { count } from './words.ts';

/** Values over the time of a run: one for each step, undefined where there is none. */
export type Series = {
  name: string;
  /** The colour, and whether the line is dashed. */
  colour: number;
  dashed?: boolean;
  values: (number | undefined)[];
  /** The figure beside the name in the legend. */
  told: string;
};

export type Plot = {
  id: string;
  title: string;
  /** The unit, such as `requests a second`. */
  measure: string;
  unit: 'count' | 'ms' | 'bytes' | 'cores';
  kind: 'lines' | 'stack';
  log?: boolean;
  /** Values this close in time are joined across a gap, in ms. */
  joinMs?: number;
  /** The least end of the axis. */
  atLeast?: number;
  /** As wide as the page. */
  whole?: boolean;
  series: Series[];
  /** The instant of each value, in ms since the opening. */
  at: number[];
};

export const colours = 8;

export function most(all: readonly (number | undefined)[]): number {
  return all.reduce<number>((high, value) => Math.max(high, value ?? 0), 0);
}

/** A series without any value is not drawn. */
export function isSeen({ values }: { values: readonly (number | undefined)[] }): boolean {
  return values.some((value) => value !== undefined);
}

export function peak(of: readonly (number | undefined)[], format = count): string {
  return `peak ${format(most(of))}`;
}
