/**
 * The pause before something that has failed is tried again: it doubles from `firstMs` to `mostMs`, and
 * its upper half is random, so that many that failed together do not try again together.
 * @returns ms, a whole number, for how many tries have failed so far (1 or more)
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
