/** What one payment may come to at Alipay: 0.01 to 100,000,000.00 yuan, here in fen. */
export const amountMax = 10_000_000_000;

const decimal = /^(0|[1-9]\d{0,9})(?:\.(\d{1,2}))?$/;

/** Fen as Alipay writes money: yuan with two decimals. */
export function yuanOf(fen: number): string {
  if (!Number.isSafeInteger(fen) || fen < 0) throw new Error(`bug: ${fen} fen is no amount`);
  const cents = String(fen % 100).padStart(2, '0');
  return `${Math.floor(fen / 100)}.${cents}`;
}

/** Digit by digit, for a float would be off by a fen; undefined when the text is no amount. */
export function fenOf(yuan: unknown): number | undefined {
  // Within an answer's JSON an amount is documented as text, and sometimes comes as a number.
  const text = typeof yuan === 'number' ? String(yuan) : yuan;
  const match = typeof text === 'string' ? decimal.exec(text) : null;
  if (!match) return undefined;
  const fen = Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0'));
  return fen <= amountMax ? fen : undefined;
}
