/**
 * The pause before a retry: it doubles from `firstMs` to `mostMs` ms, and its upper half is random, so
 * that callers which failed together do not retry together.
 * @returns a function from the number of failed tries (1 or more) to the pause in whole ms
 */
export function openBackOff(limits: {
  firstMs: number;
  mostMs: number;
}): (failures: number) => number {
  const { firstMs, mostMs } = limits;
  return (failures) => {
    const most = Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 30));
    return Math.round(most * (0.5 + Math.random() / 2));
  };
}
