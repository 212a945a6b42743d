import { eventually } from './eventually.ts';

const windowMs = 10_000;
const paymentWindowMs = 600_000;

/**
 * Waits until five seconds at least are left of the window of the budgets, and more of that of payments.
 * They are the same in all processes and begin anew at their end, so requests that are to spend one
 * budget begin here, once what they need is set up.
 */
export async function roomInWindow(): Promise<void> {
  await eventually(() => {
    const now = Date.now();
    return now % windowMs < windowMs / 2 && now % paymentWindowMs < paymentWindowMs - windowMs;
  });
}
