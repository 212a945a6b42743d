/** Items that wait, each for a source that sent it, such as a network. */
export type FairQueue<T> = {
  /** Adds an item. Returns the one that had to make room for it. */
  add(item: T, source: string): T | undefined;
  /** Takes up to `most` items, one of each source in turn. */
  take(most: number): T[];
  size(): number;
};

/**
 * A bounded queue in which a flood from one source holds up no other: sources are served in turn, and
 * when the queue is full, the source with most items loses its newest, as in stochastic fairness
 * queueing (McKenney, 1990). So an item that shares its source with a flood has the same chance as each
 * of the flood, and gets through in a few tries.
 */
export function openFairQueue<T>(sizeMax: number): FairQueue<T> {
  /** In the order of their turns; none is empty. */
  const sources = new Map<string, T[]>();
  let size = 0;

  function longest(): [source: string, items: T[]] | undefined {
    let found: [source: string, items: T[]] | undefined;
    for (const entry of sources) {
      if (!found || entry[1].length > found[1].length) found = entry;
    }
    return found;
  }

  function dropOne(): T | undefined {
    const [source = '', items = []] = longest() ?? [];
    const dropped = items.pop();
    if (items.length === 0) sources.delete(source);
    size -= 1;
    return dropped;
  }

  return {
    size: () => size,
    add(item, source) {
      const dropped = size >= sizeMax ? dropOne() : undefined;
      const items = sources.get(source);
      if (items) items.push(item);
      else sources.set(source, [item]);
      size += 1;
      return dropped;
    },
    take(most) {
      const taken: T[] = [];
      // A source that is served goes to the end, and the loop comes to it again.
      for (const [source, items] of sources) {
        if (taken.length === most) break;
        sources.delete(source);
        taken.push(...items.splice(0, 1));
        if (items.length > 0) sources.set(source, items);
      }
      size -= taken.length;
      return taken;
    },
  };
}
