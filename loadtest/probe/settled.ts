/**
 * The instant since when a sale has been settled, as far as reads show: a read that finds an open order
 * discards the earlier ones.
 */
export function openSettled() {
  let since: number | undefined;
  return {
    /** Adds a read that ended at this instant, and whether every order had ended. */
    see(settled: boolean, at: number): void {
      if (!settled) since = undefined;
      else since ??= at;
    },
    since: () => since,
  };
}
