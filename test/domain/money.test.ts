import { expect, test } from 'vitest';
import { assertWhole, isCurrency, orderAmountMax } from '../../src/domain/money.ts';

test('Only existing currency codes in capitals are accepted', () => {
  for (const code of ['CNY', 'EUR', 'JPY', 'USD']) expect(isCurrency(code), code).toBe(true);
  for (const code of ['', 'cny', 'ZZZ', 'CNYX', 'CN', ' CNY', '__proto__']) {
    expect(isCurrency(code), code).toBe(false);
  }
});

test('Money and stock must be whole numbers of zero or more', () => {
  for (const value of [0, 1, orderAmountMax, Number.MAX_SAFE_INTEGER]) {
    expect(assertWhole(value, 'amount')).toBe(value);
  }
  for (const value of [-1, 1.5, Number.NaN, Infinity, 2 ** 53, '1' as unknown as number]) {
    expect(() => assertWhole(value, 'amount'), String(value)).toThrow(/^bug: amount /);
  }
});

test('The amounts of thousands of the largest orders add up exactly', () => {
  expect(Number.isSafeInteger(orderAmountMax * 9_000)).toBe(true);
});
