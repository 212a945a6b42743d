import type { Clients } from './clients.ts';
import type { SeenOrder } from './sources.ts';

/** The merchant's list of orders, with the fields that the checks need. */
export type Listed = {
  orders: Map<string, ListedOrder>;
  /** Ids that the list has more than once. */
  twice: string[];
};

export type ListedOrder = Pick<SeenOrder, 'buyer' | 'state' | 'quantity'>;

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
  const states = new Map<string, string>();
  for await (const { id, buyer, state, quantity } of rows) {
    if (orders.has(id)) twice.push(copyOf(id));
    const known = clients.acknowledged.get(id);
    if (!states.has(state)) states.set(copyOf(state), copyOf(state));
    orders.set(known?.order ?? copyOf(id), {
      quantity,
      state: states.get(state) as string,
      buyer: known?.buyer === buyer ? known.buyer : copyOf(buyer),
    });
  }
  return { orders, twice };
}

function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
