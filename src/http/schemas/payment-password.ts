import { z } from 'zod';
import { paymentPasswordPattern } from '../../domain/payment-password.ts';
import type { PasswordRefusal } from '../../ledger/wallet/passwords.ts';
import { Problem, type ProblemCode } from '../problems/problems.ts';
import { iso } from './fields.ts';

/** Six digits, as text: they may begin with zeros. */
export const paymentPassword = z
  .string()
  .regex(paymentPasswordPattern, 'must be six digits')
  .describe('The payment password: six digits');

/** Problems of a route that checks the password, for its contract. */
export const passwordProblems: ProblemCode[] = [
  'payment_password_needed',
  'payment_password_wrong',
  'payment_password_locked',
  'payment_password_busy',
  'payment_password_not_set',
  'overloaded',
];

/** The refusal after a check that did not succeed. */
export function passwordProblem(checked: PasswordRefusal): Problem {
  switch (checked.kind) {
    case 'wrong':
      return new Problem('payment_password_wrong', { triesLeft: checked.triesLeft });
    case 'locked': {
      const retryAfterMs = Math.max(0, checked.untilMs - Date.now());
      return new Problem('payment_password_locked', { until: iso(checked.untilMs), retryAfterMs });
    }
    case 'busy':
      return new Problem('payment_password_busy', { retryAfterMs: checked.retryAfterMs });
    case 'not_set':
      return new Problem('payment_password_not_set');
  }
}
