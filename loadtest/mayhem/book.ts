/** What buyers and merchant were told: the auditor's half of the truth. */
export type Book = {
  /** By order: who got a 202 for it. */
  acknowledged: Map<string, { buyer: string; drop: number }>;
  /** Buyers who once had no answer to a Buy. */
  unsure: Set<string>;
  /** States in which a client saw an order. */
  seen: Map<string, Set<string>>;
  /** By order: parts that the merchant was promised to be given back, in minor units. */
  parts: Map<string, number>;
  /** Orders that the merchant has asked to be given back whole, and was promised so. */
  wholes: Set<string>;
  /** What was wrong in the very moment, in words. */
  breaches: string[];
  /** Answers that ended a wish, by their code. */
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
