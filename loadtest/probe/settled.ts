/**
 * The instant since when a sale has been settled, as far as reads show: a read that finds an open order
 * discards the earlier ones. Answers may overtake each other; one that was asked for before the newest
 * known says nothing about now.
 */
export function openSettled() {
  let since: number | undefined;
  let asked = 0;
  let newest = 0;
  return {
    /** Begins a read; `see` adds whether it found that every order had ended, and when it was answered. */
    begin() {
      asked += 1;
      const order = asked;
      return {
        see(settled: boolean, at: number): void {
          if (order < newest) return;
          newest = order;
          if (!settled) since = undefined;
          else since ??= at;
        },
      };
    },
    since: () => since,
  };
}
