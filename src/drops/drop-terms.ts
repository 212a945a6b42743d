import type { Drop } from '../domain/drop.ts';
import type { DropId } from '../domain/ids.ts';
import type { Lanes } from '../inventory/lanes.ts';

/** The part of a drop that is fixed at its creation. */
export type DropTerms = Pick<
  Drop,
  | 'id'
  | 'merchantId'
  | 'title'
  | 'currency'
  | 'holdMs'
  | 'lanes'
  | 'passwordAbove'
  | 'paymentMethods'
> & {
  skus: string[];
  /** Titles of the items, by their position. */
  titles: string[];
};

const dropsMax = 1_000;

/**
 * Reads the terms of a drop from its lane, or from the ledger when the lane has none, and caches them.
 * Terms never change, so an entry stays until the cache is full; then the oldest is removed.
 * The terms are undefined when there is no such drop.
 */
export function openDropTerms(source: {
  lanes: Pick<Lanes, 'readDrop'>;
  drops: { get(id: DropId): Promise<Drop | undefined> };
}): (drop: DropId) => Promise<DropTerms | undefined> {
  const cache = new Map<string, DropTerms>();

  return async function termsOf(dropId) {
    const cached = cache.get(dropId);
    if (cached) return cached;
    const drop =
      (await source.lanes.readDrop({ drop: dropId, lane: 0 })) ?? (await source.drops.get(dropId));
    if (!drop) return undefined;
    const { id, merchantId, title, currency, holdMs, lanes, passwordAbove, paymentMethods, items } =
      drop;
    const terms = {
      id,
      merchantId,
      title,
      currency,
      holdMs,
      lanes,
      passwordAbove,
      paymentMethods,
      skus: items.map((item) => item.sku),
      titles: items.map((item) => item.title),
    };
    const [oldest] = cache.keys();
    if (oldest !== undefined && cache.size >= dropsMax) cache.delete(oldest);
    cache.set(dropId, terms);
    return terms;
  };
}
