import { count } from './words.ts';

/** What is drawn over the time of a run: one value a step, undefined where nothing is known. */
export type Series = {
  name: string;
  /** Which of the page's colours, and whether the line is broken. */
  colour: number;
  dashed?: boolean;
  values: (number | undefined)[];
  /** The figure beside the name in the legend. */
  told: string;
};

export type Plot = {
  id: string;
  title: string;
  /** What a value is, such as `requests a second`. */
  measure: string;
  unit: 'count' | 'ms' | 'bytes' | 'cores';
  kind: 'lines' | 'stack';
  log?: boolean;
  /** Values this close in time are joined although nothing is known between them, in ms. */
  joinMs?: number;
  /** The axis goes at least this far. */
  atLeast?: number;
  /** As wide as the page. */
  whole?: boolean;
  series: Series[];
  /** The middle of each step, in ms since the opening. */
  at: number[];
};

export type Drawing = Omit<Plot, 'at'>;

export const colours = 8;

export function most(all: readonly (number | undefined)[]): number {
  return all.reduce<number>((high, value) => Math.max(high, value ?? 0), 0);
}

/** A series of which nothing is known is not drawn. */
export function isSeen({ values }: { values: readonly (number | undefined)[] }): boolean {
  return values.some((value) => value !== undefined);
}

export function peak(of: readonly (number | undefined)[], format = count): string {
  return `peak ${format(most(of))}`;
}
