import type { Drop } from '../domain/drop.ts';
import type { DropId } from '../domain/ids.ts';
import type { Lanes } from '../inventory/lanes.ts';

/** What of a drop is settled when it is created and never changes. */
export type DropTerms = Pick<
  Drop,
  'id' | 'merchantId' | 'title' | 'currency' | 'holdMs' | 'lanes' | 'passwordAbove'
> & {
  skus: string[];
  /** Titles of the items, by their position. */
  titles: string[];
};

const dropsMax = 1_000;

/**
 * Reads the terms of drops from their lanes, and from the ledger where the lanes know nothing, and
 * remembers them: they may be kept for as long as there is room.
 */
export function openDropTerms(source: {
  lanes: Pick<Lanes, 'readDrop'>;
  drops: { get(id: DropId): Promise<Drop | undefined> };
}): (drop: DropId) => Promise<DropTerms | undefined> {
  const known = new Map<string, DropTerms>();

  return async function termsOf(dropId) {
    const remembered = known.get(dropId);
    if (remembered) return remembered;
    const drop =
      (await source.lanes.readDrop({ drop: dropId, lane: 0 })) ?? (await source.drops.get(dropId));
    if (!drop) return undefined;
    const { id, merchantId, title, currency, holdMs, lanes, passwordAbove, items } = drop;
    const terms = {
      id,
      merchantId,
      title,
      currency,
      holdMs,
      lanes,
      passwordAbove,
      skus: items.map((item) => item.sku),
      titles: items.map((item) => item.title),
    };
    if (known.size >= dropsMax) known.delete(known.keys().next().value as string);
    known.set(dropId, terms);
    return terms;
  };
}
