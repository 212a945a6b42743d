/**
 * From when on a sale has been settled, as far as looks can tell: one that finds something under way
 * takes back what those before it found.
 */
export function openSettled() {
  let since: number | undefined;
  return {
    /** A look that ended at this instant, and whether it found every order with its end. */
    see(settled: boolean, at: number): void {
      if (!settled) since = undefined;
      else since ??= at;
    },
    since: () => since,
  };
}
