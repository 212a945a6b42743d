import { hash } from 'node:crypto';

/**
 * Random choices from a seed. Each depends only on the seed and its subject, not on the order of calls,
 * so a parallel run makes the same choices again.
 */
export type SeededRandom = {
  /** From 0 to below 1. */
  share(...about: (string | number)[]): number;
  /** A whole number from `least` to `most`. */
  whole(range: { least: number; most: number }, ...about: (string | number)[]): number;
  /** One of these, each as likely as its weight says. */
  oneOf<T extends string>(weights: Record<T, number>, ...about: (string | number)[]): T;
};

export function openSeededRandom(seed: number): SeededRandom {
  const share: SeededRandom['share'] = (...about) => {
    const digest = hash('sha256', [seed, ...about].join(' '), 'hex');
    return Number.parseInt(digest.slice(0, 12), 16) / 2 ** 48;
  };

  return {
    share,
    whole: ({ least, most }, ...about) => least + Math.floor(share(...about) * (most - least + 1)),
    oneOf(weights, ...about) {
      const entries = Object.entries(weights) as [keyof typeof weights, number][];
      const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
      let left = share(...about) * total;
      for (const [name, weight] of entries) {
        left -= weight;
        if (left < 0) return name;
      }
      return entries.at(-1)?.[0] as keyof typeof weights;
    },
  };
}
