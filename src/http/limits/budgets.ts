import { openInterval } from '../../scheduling/interval.ts';
import { networkOf } from './addresses.ts';
import { openRateLimiter, type RateLimiter } from './rate-limiter.ts';
import type { SharedUsage } from './shared-usage.ts';
import { openTokenChecks, type TokenChecks } from './token-checks.ts';

/** What a caller may spend in a window. A request costs 1 unless its contract says otherwise. */
export type BudgetLimits = {
  buyer: number;
  merchant: number;
  /** Requests that need no credentials, by network; what is answered from memory costs little. */
  stranger: number;
  /** Tokens whose check failed, by network and in all; further failures are then paced, in each process. */
  failure: number;
  failureInAll: number;
  /** Payments that one buyer may begin for one drop, or for top-ups, in ten minutes. */
  payment: number;
};

export type Budgets = {
  /** 0 when the caller may spend it, else the milliseconds until then. */
  buyer(buyer: string, cost?: number): number;
  merchant(merchant: string, cost?: number): number;
  stranger(address: string, cost?: number): number;
  /** Takes what a stranger's request has cost, once that is known. */
  chargeStranger(address: string, cost: number): void;
  tokenChecks: TokenChecks;
  payment(buyer: string, payable: string): number;
  stop(): Promise<void>;
};

export const budgetLimits: BudgetLimits = {
  buyer: 300,
  merchant: 3_000,
  stranger: 60_000,
  failure: 2_000,
  failureInAll: 16_000,
  payment: 40,
};

const windowMs = 10_000;
const paymentWindowMs = 600_000;
const namesMax = 200_000;
const shareEveryMs = 250;
/** Names that one exchange with the other processes has at most. */
const sharedNamesMax = 1_000;

/**
 * The budgets of callers: of a buyer by `sub`, of a merchant by id, and by network of whoever asks for
 * what needs no credentials. Refused credentials are counted apart, and never keep anybody from what is
 * public. Each process decides by what it has counted, without a call; four times a
 * second it tells the others what the heavy ones have spent, and learns the sums. So a budget holds
 * over all processes, give or take what is spent in that quarter of a second and the part that a
 * process does not count by name.
 */
export function openBudgets(options: {
  limits?: Partial<BudgetLimits> | undefined;
  /** Undefined for a process alone. */
  usage?: SharedUsage | undefined;
}): Budgets {
  const { usage } = options;
  const limits = { ...budgetLimits, ...options.limits };
  const buyers = openRateLimiter({
    requestsMax: limits.buyer,
    // An eighth: a crowd of honest buyers stays below it and is not stored by name.
    sharedMax: Math.floor(limits.buyer / 8),
    windowMs,
    namesMax,
  });
  const merchants = openRateLimiter({ requestsMax: limits.merchant, windowMs, namesMax });
  const strangers = openRateLimiter({ requestsMax: limits.stranger, windowMs, namesMax });
  const payments = openRateLimiter({
    requestsMax: limits.payment,
    windowMs: paymentWindowMs,
    namesMax,
  });
  const shared: { budget: string; limiter: RateLimiter; windowMs: number }[] = [
    { budget: 'buyer', limiter: buyers, windowMs },
    { budget: 'merchant', limiter: merchants, windowMs },
    { budget: 'stranger', limiter: strangers, windowMs },
    { budget: 'payment', limiter: payments, windowMs: paymentWindowMs },
  ];

  async function share(): Promise<void> {
    for (const { budget, limiter, windowMs } of shared) {
      const { window: index, spent } = limiter.report(sharedNamesMax);
      if (!usage || spent.length === 0) continue;
      const totals = await usage.add({ budget, index, windowMs }, spent);
      for (const [n, { name }] of spent.entries()) limiter.learn(index, name, totals[n] ?? 0);
    }
  }

  const interval = openInterval({
    run: share,
    everyMs: shareEveryMs,
    pausesFirst: true,
    keepsProcessAlive: false,
    onError() {}, // While Redis does not answer, each process counts alone.
  });
  if (usage) interval.start();

  return {
    buyer: (buyer, cost) => buyers.take(buyer, cost),
    merchant: (merchant, cost) => merchants.take(merchant, cost),
    stranger: (address, cost) => strangers.take(networkOf(address), cost),
    chargeStranger: (address, cost) => strangers.charge(networkOf(address), cost),
    tokenChecks: openTokenChecks({
      failuresMax: limits.failure,
      failuresMaxInAll: limits.failureInAll,
    }),
    payment: (buyer, payable) => payments.take(`${payable} ${buyer}`),
    stop: interval.stop,
  };
}
