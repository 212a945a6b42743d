/** The only currency of a merchant in mainland China. */
export const currency = 'CNY';

/** An amount in fen from yuan with decimals, computed from the digits; undefined for other texts. */
export function fenOf(yuan: string): number | undefined {
  const match = /^(\d{1,12})(?:\.(\d{1,2}))?$/.exec(yuan);
  if (!match) return undefined;
  return Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0'));
}
