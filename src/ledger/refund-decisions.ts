import { type Clock, systemClock } from '../domain/clock.ts';
import type { Database } from './database.ts';
import { type Payment, paymentColumns } from './payments.ts';

/** What was decided about giving payments back, written before anybody acts on it. */
export function openRefundDecisions(database: Database, clock: Clock = systemClock) {
  /**
   * Decides that captured payments are given back. From here on it will happen, whoever carries it
   * out, and no confirm may count on the money. Asking again changes nothing.
   */
  async function askRefund(references: readonly string[]): Promise<void> {
    if (references.length === 0) return;
    await database.query(
      `update payments set refund_asked_at = $2
       where reference = any($1::text[]) and refund_asked_at is null
         and state in ('captured', 'refunded')`,
      [references, clock.now()],
    );
  }

  /** Notes that the money and the units of refunds are back where they came from. */
  async function finishRefund(references: readonly string[]): Promise<void> {
    if (references.length === 0) return;
    await database.query(
      `update payments set refund_finished_at = $2
       where reference = any($1::text[]) and refund_finished_at is null`,
      [references, clock.now()],
    );
  }

  /** Refunds asked for before an instant and not finished: each is carried on with. */
  async function refundsAsked(options: { before: number; limit: number }): Promise<Payment[]> {
    return await database.query<Payment>(
      `select ${paymentColumns} from payments p
       where p.refund_asked_at < $1 and p.refund_asked_at is not null
         and p.refund_finished_at is null
       order by p.refund_asked_at, p.reference limit $2`,
      [options.before, options.limit],
    );
  }

  return { askRefund, finishRefund, refundsAsked };
}
