import { expect, test } from 'vitest';
import { openBackOff } from '../../src/scheduling/backoff.ts';

test('The pause before a new try doubles with each failure, never exceeds its bound and is spread', () => {
  const backOffMs = openBackOff({ firstMs: 100, mostMs: 5_000 });
  for (let failures = 1; failures <= 200; failures += 1) {
    const most = Math.min(5_000, 100 * 2 ** (failures - 1));
    const pauses = Array.from({ length: 50 }, () => backOffMs(failures));
    for (const pause of pauses) {
      expect(pause).toBeGreaterThanOrEqual(Math.floor(most / 2));
      expect(pause).toBeLessThanOrEqual(most);
      expect(Number.isInteger(pause)).toBe(true);
    }
    expect(new Set(pauses).size).toBeGreaterThan(1);
  }
});
