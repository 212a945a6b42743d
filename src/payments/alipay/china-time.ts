// Alipay's times have no zone: they are China's, which is eight hours ahead all year round.
const aheadMs = 8 * 3600_000;

/** `yyyy-MM-dd HH:mm:ss`; a part of a second is dropped, so that an end never moves later. */
export function chinaTime(ms: number): string {
  return new Date(ms + aheadMs).toISOString().slice(0, 19).replace('T', ' ');
}

/** Ms since the epoch; undefined when the text is no such time. */
export function fromChinaTime(text: string | undefined): number | undefined {
  if (!text || !/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(text)) return undefined;
  const ms = Date.parse(`${text.replace(' ', 'T')}Z`) - aheadMs;
  // The 31st of a shorter month is parsed as a day of the next.
  return Number.isFinite(ms) && chinaTime(ms) === text ? ms : undefined;
}
