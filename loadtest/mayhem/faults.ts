import type { Mischief, ProviderName } from '../../simulators/protocol.ts';
import { openDraws } from './seeded-random.ts';

/** Each chance lies between these; which it is, and when it strikes, the seed says. */
const ranges: { [K in keyof Mischief]: [least: number, most: number] } = {
  lose: [0.1, 0.3],
  delay: [0.1, 0.3],
  delayMs: [300, 3_000],
  repeat: [0.1, 0.3],
  repeats: [1, 4],
  reorder: [0.05, 0.2],
  forge: [0.05, 0.2],
  fail: [0.02, 0.08],
  refuse: [0.02, 0.08],
  hang: [0.002, 0.01],
  slow: [0.02, 0.1],
  slowMs: [100, 1_500],
  captureAfterClose: [0.3, 0.8],
};
const measures = new Set(['delayMs', 'repeats', 'slowMs']);

/** What a simulated provider does wrong in a run: every kind of mischief. */
export function mischiefOf(seed: number, provider: ProviderName): Mischief {
  const draws = openDraws(seed);
  const drawn = Object.entries(ranges).map(([name, [least, most]]) => {
    const value = measures.has(name)
      ? draws.whole({ least, most }, 'mischief', provider, name)
      : least + (most - least) * draws.share('mischief', provider, name);
    return [name, value];
  });
  return Object.fromEntries(drawn) as Mischief;
}

/** From now on everything goes right; what was lost stays lost. */
export function noMischief(): Partial<Mischief> {
  const chances = Object.keys(ranges).filter((name) => !measures.has(name));
  return Object.fromEntries(chances.map((name) => [name, 0]));
}
