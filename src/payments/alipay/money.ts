/** The largest amount of one payment at Alipay: 100,000,000.00 yuan, in fen. The smallest is 1 fen. */
export const amountMax = 10_000_000_000;

const decimal = /^(0|[1-9]\d{0,9})(?:\.(\d{1,2}))?$/;

/**
 * Fen as Alipay writes amounts: yuan with two decimals.
 * @throws Error for what is not an amount
 */
export function yuanOf(fen: number): string {
  if (!Number.isSafeInteger(fen) || fen < 0) throw new Error(`bug: ${fen} fen is no amount`);
  const cents = String(fen % 100).padStart(2, '0');
  return `${Math.floor(fen / 100)}.${cents}`;
}

/**
 * An amount in fen from yuan as Alipay writes them, computed from the digits because a float could be
 * off by a fen; undefined when the value is no amount.
 */
export function fenOf(yuan: unknown): number | undefined {
  // Documented as text, but an answer's JSON sometimes has a number.
  const text = typeof yuan === 'number' ? String(yuan) : yuan;
  const match = typeof text === 'string' ? decimal.exec(text) : null;
  if (!match) return undefined;
  const fen = Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0'));
  return fen <= amountMax ? fen : undefined;
}
