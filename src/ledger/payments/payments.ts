import { type Clock, systemClock } from '../../domain/clock.ts';
import type { Database } from '../database/database.ts';
import { openAttempts } from './attempts.ts';
import { openPolling } from './polling.ts';
import { openRefundResults } from './refund-results.ts';
import { openRefunds } from './refunds.ts';
import { openPaymentResults } from './results.ts';

export type Payments = ReturnType<typeof openPayments>;

/**
 * Payments of orders and top-ups: the attempts to pay, what providers answered about them, when
 * providers are asked again, and refunds. Each part has a file of its own beside this one.
 */
export function openPayments(database: Database, clock: Clock = systemClock) {
  return {
    ...openAttempts(database, clock),
    ...openPaymentResults(database, clock),
    ...openPolling(database),
    ...openRefunds(database, clock),
    ...openRefundResults(database, clock),
  };
}
