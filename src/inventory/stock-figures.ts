export const stockFigureNames = ['available', 'held', 'sold', 'allotment'] as const;

/** Units of one item, in one lane or in several together: available + held + sold = allotment. */
export type StockFigures = Record<(typeof stockFigureNames)[number], number>;

/** The figures of all parts together; an item that a lane does not have counts as zero. */
export function sumFigures(parts: Iterable<StockFigures | undefined>): StockFigures {
  const sum: StockFigures = { available: 0, held: 0, sold: 0, allotment: 0 };
  for (const part of parts) {
    for (const name of stockFigureNames) sum[name] += part?.[name] ?? 0;
  }
  return sum;
}

export function sameFigures(one: StockFigures, other: StockFigures | undefined): boolean {
  return stockFigureNames.every((name) => one[name] === other?.[name]);
}
