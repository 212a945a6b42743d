import { openMisses } from '../batching/misses.ts';
import { lookUpLimits, openPacedBatcher } from '../batching/paced-batcher.ts';
import type { DropId } from '../domain/ids.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Drops } from '../ledger/drops.ts';
import type { DropTerms } from './drop-terms.ts';

export type TermsLookup = (drop: DropId) => Promise<DropTerms | undefined>;

/**
 * The terms of a drop that a client names, and that may be made up. A drop in use is answered from
 * memory; of the others a bounded number is looked up at a time, and what does not exist is remembered
 * for a second. Settlement has names of its own and reads terms without that queue.
 * @throws QueueFull when too many look-ups wait
 */
export function openTermsLookup(options: {
  termsOf: TermsLookup & { cached(drop: DropId): DropTerms | undefined };
  lanes: Pick<Lanes, 'readDrop'>;
  drops: Pick<Drops, 'existing'>;
}): TermsLookup {
  const { termsOf, lanes, drops } = options;
  const misses = openMisses<true>({ keptMs: 1_000, namesMax: 10_000 });
  const lookUps = openPacedBatcher<DropId, DropTerms | undefined>({
    ...lookUpLimits,
    async run(ids) {
      const inLane = await Promise.all(ids.map((drop) => lanes.readDrop({ drop, lane: 0 })));
      const missing = ids.filter((_, n) => !inLane[n]);
      const inLedger = missing.length > 0 ? await drops.existing(missing) : new Set();
      return await Promise.allSettled(
        ids.map(async (id, n) => {
          if (inLane[n] || inLedger.has(id)) return await termsOf(id);
          misses.add(id, true);
          return undefined;
        }),
      );
    },
  });
  return async (drop) => {
    const cached = termsOf.cached(drop);
    if (cached) return cached;
    return misses.get(drop) ? undefined : await lookUps.add(drop);
  };
}
