import type { Drop } from '../domain/drop.ts';
import type { DropId } from '../domain/ids.ts';
import type { Lanes } from '../inventory/lanes.ts';

/** The part of a drop that is fixed once it has opened. */
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
 * Reads the terms of a drop from its lane, or from the ledger when the lane has none. Once the drop has
 * opened on Redis' clock they never change, so they are cached then and stay until the cache is full;
 * then the oldest is removed.
 * The terms are undefined when there is no such drop.
 */
export function openDropTerms(source: {
  lanes: Pick<Lanes, 'readDrop' | 'inspect'>;
  drops: { get(id: DropId): Promise<Drop | undefined> };
}) {
  const cache = new Map<string, DropTerms>();

  /** Whether the lane has this version of the drop at an instant when no edit can follow it. */
  async function hasOpened({ id, version, startsAt }: Drop): Promise<boolean> {
    const lane = await source.lanes.inspect({ drop: id, lane: 0 });
    return lane.status === 'done' && lane.version === version && lane.now >= startsAt;
  }

  async function termsOf(dropId: DropId): Promise<DropTerms | undefined> {
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
    if (!(await hasOpened(drop))) return terms;
    const [oldest] = cache.keys();
    if (oldest !== undefined && cache.size >= dropsMax) cache.delete(oldest);
    cache.set(dropId, terms);
    return terms;
  }

  /** The terms if they are in memory. */
  const cached = (dropId: DropId) => cache.get(dropId);
  return Object.assign(termsOf, { cached });
}
