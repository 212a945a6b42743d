// WeChat Pay counts days and writes times in Beijing's time, UTC+8 all year round.
const beijingOffsetMs = 8 * 3_600_000;
export const dayMs = 24 * 3_600_000;

/** An instant (ms since the epoch) as WeChat Pay writes it: RFC 3339 to the second. */
export function beijingTime(at: number): string {
  return `${new Date(at + beijingOffsetMs).toISOString().slice(0, 19)}+08:00`;
}

/** `yyyy-MM-dd` in Beijing, from ms since the epoch. */
export function beijingDate(at: number): string {
  return beijingTime(at).slice(0, 10);
}

/** The beginning of an instant's day in Beijing; both ms since the epoch. */
export function beijingDayOf(at: number): number {
  return Math.floor((at + beijingOffsetMs) / dayMs) * dayMs - beijingOffsetMs;
}
