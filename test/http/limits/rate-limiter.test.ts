import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openRateLimiter, type RateLimiter } from '../../../src/http/limits/rate-limiter.ts';
import { testSeed } from '../../support/seed.ts';

const limits = { requestsMax: 40, sharedMax: 5, windowMs: 1_000, namesMax: 10_000, now: () => 0 };

/** Two names that share a slot: the second is counted by name though it has spent nothing before. */
function slotMates(): [string, string] {
  const names = Array.from({ length: 5_000 }, (_, n) => `buyer-${n}`);
  const crowd = openRateLimiter({ ...limits, sharedMax: 1 });
  const isCounted = (limiter: RateLimiter, name: string) =>
    limiter.report(1).spent.some((one) => one.name === name);
  for (const [n, honest] of names.entries()) {
    crowd.take(honest);
    if (!isCounted(crowd, honest)) continue;
    for (const bot of names.slice(0, n)) {
      const limiter = openRateLimiter({ ...limits, sharedMax: 1 });
      limiter.take(bot);
      limiter.take(honest);
      if (isCounted(limiter, honest)) return [bot, honest];
    }
  }
  throw new Error('no two names share a slot');
}

test('A buyer whose slot a bot has filled in every process keeps the rest of the budget, over all processes together', () => {
  const [bot, honest] = slotMates();
  const requests = (processes: number) =>
    fc.array(fc.record({ at: fc.nat(processes - 1), shares: fc.boolean() }), { maxLength: 80 });
  const cases = fc.integer({ min: 1, max: 8 }).chain((processes) => {
    return fc.tuple(fc.constant(processes), requests(processes));
  });
  const check = fc.property(cases, ([processes, asked]) => {
    const all = Array.from({ length: processes }, () => openRateLimiter(limits));
    for (const limiter of all) limiter.take(bot, limits.sharedMax);
    let total = 0;
    /** What each process does four times a second. */
    const share = (limiter: RateLimiter) => {
      const { window, spent } = limiter.report(10);
      for (const { name, by } of spent) {
        total += by;
        limiter.learn(window, name, total);
      }
    };
    const left = limits.requestsMax - limits.sharedMax;
    let accepted = 0;
    for (const { at, shares } of asked) {
      const limiter = all[at];
      if (!limiter) continue;
      if (limiter.take(honest) === 0) accepted += 1;
      else expect(accepted).toBeGreaterThanOrEqual(left);
      if (shares) share(limiter);
    }
    for (const limiter of all) share(limiter);
    expect(total).toBe(accepted);
  });
  fc.assert(check, { seed: testSeed('rate limiter') });
});
