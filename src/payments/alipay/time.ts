// Alipay writes times without a zone: they are China's, which is UTC+8 all year round.
const chinaOffsetMs = 8 * 3_600_000;

/** `yyyy-MM-dd HH:mm:ss`, from ms since the epoch; cut to the second, so that an end never moves later. */
export function chinaTime(ms: number): string {
  return new Date(ms + chinaOffsetMs).toISOString().slice(0, 19).replace('T', ' ');
}

/** Ms since the epoch; undefined when the text is no such time. */
export function fromChinaTime(text: string | undefined): number | undefined {
  if (!text || !/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(text)) return undefined;
  const ms = Date.parse(`${text.replace(' ', 'T')}Z`) - chinaOffsetMs;
  // Date.parse takes the 31st of a shorter month for a day of the next.
  return Number.isFinite(ms) && chinaTime(ms) === text ? ms : undefined;
}
