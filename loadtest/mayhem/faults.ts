import type { Faults, ProviderName } from '../../simulators/protocol.ts';
import { openSeededRandom } from './seeded-random.ts';

/** The range of each fault setting; the seed chooses a value within it. */
const ranges: { [K in keyof Faults]: [least: number, most: number] } = {
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

/** The fault settings of a simulated provider in a run: every kind of fault is on. */
export function faultsOf(seed: number, provider: ProviderName): Faults {
  const random = openSeededRandom(seed);
  const drawn = Object.entries(ranges).map(([name, [least, most]]) => {
    const value = measures.has(name)
      ? random.whole({ least, most }, 'faults', provider, name)
      : least + (most - least) * random.share('faults', provider, name);
    return [name, value];
  });
  return Object.fromEntries(drawn) as Faults;
}

/** No faults from now on; what was lost stays lost. */
export function noFaults(): Partial<Faults> {
  const chances = Object.keys(ranges).filter((name) => !measures.has(name));
  return Object.fromEntries(chances.map((name) => [name, 0]));
}
