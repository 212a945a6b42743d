import type { Clients } from './clients.ts';
import type { SeenOrder } from './sources.ts';

/** The merchant's list of orders, with the fields that the checks need. */
export type Listed = {
  orders: Map<string, ListedOrder>;
  /** Ids that the list has more than once. */
  twice: string[];
};

export type ListedOrder = Pick<SeenOrder, 'buyer' | 'sku' | 'state' | 'quantity'>;

/**
 * Reads the list as a stream. A substring would keep the whole text in memory, so buyers' names are
 * taken from the clients' books where these have them, and copied otherwise.
 */
export async function readListed(
  rows: AsyncIterable<SeenOrder>,
  clients: Clients,
): Promise<Listed> {
  const orders = new Map<string, ListedOrder>();
  const twice: string[] = [];
  /** A copy of each state and item, which many orders share. */
  const words = new Map<string, string>();
  const shared = (word: string) => {
    if (!words.has(word)) words.set(copyOf(word), copyOf(word));
    return words.get(word) as string;
  };
  for await (const { id, buyer, sku, state, quantity } of rows) {
    if (orders.has(id)) twice.push(copyOf(id));
    const known = clients.acknowledged.get(id);
    orders.set(known?.order ?? copyOf(id), {
      quantity,
      sku: shared(sku),
      state: shared(state),
      buyer: known?.buyer === buyer ? known.buyer : copyOf(buyer),
    });
  }
  return { orders, twice };
}

function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
