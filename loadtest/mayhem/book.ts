/** What buyers and the merchant were answered. */
export type Book = {
  /** By order: who got a 202 for it. */
  acknowledged: Map<string, { buyer: string; drop: number }>;
  /** Buyers who once had no answer to a Buy. */
  unsure: Set<string>;
  /** States in which a client saw an order. */
  seen: Map<string, Set<string>>;
  /** By order: partial refunds that the merchant was promised, in minor units. */
  parts: Map<string, number>;
  /** Orders whose full refund the merchant was promised. */
  wholes: Set<string>;
  /** Breaches that were seen during the run, as text. */
  breaches: string[];
  /** Final answers, by code. */
  told: Record<string, number>;
};

export function newBook(): Book {
  return {
    acknowledged: new Map(),
    unsure: new Set(),
    seen: new Map(),
    parts: new Map(),
    wholes: new Set(),
    breaches: [],
    told: {},
  };
}

export function count(book: Book, what: string): void {
  book.told[what] = (book.told[what] ?? 0) + 1;
}

export function see(book: Book, order: string, state: string): void {
  const states = book.seen.get(order);
  if (states) states.add(state);
  else book.seen.set(order, new Set([state]));
}
