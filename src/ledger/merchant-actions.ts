import { hash } from 'node:crypto';
import type { Clock } from '../domain/clock.ts';
import type { DropId } from '../domain/ids.ts';
import type { Database } from './database/database.ts';

/** A refund or a change of stock that a merchant made, and by which API key. */
export type MerchantAction = {
  kind: 'refund' | 'adjustment';
  /** The id of the API key, `fdk_…`, without its secret. */
  actor: string;
  /** The order that was refunded, or the sku whose stock was changed. */
  subject: string;
  /** Minor units of a refund, null for all that was left; units of an adjustment. */
  amount: number | null;
  reason: string;
  /** Ms since the epoch. */
  at: number;
};

export type MerchantActions = ReturnType<typeof openMerchantActions>;

const shownMax = 200;

/** What merchants did by hand, with who did it. */
export function openMerchantActions(database: Database, clock: Clock) {
  /** Records an action once for each `key`, the Idempotency-Key, or '' where the subject alone tells. */
  async function record(
    drop: DropId,
    { key, ...action }: Omit<MerchantAction, 'at'> & { key: string },
  ): Promise<void> {
    const { kind, actor, subject, amount, reason } = action;
    // The digest keeps callers' text out of the ledger.
    const id = hash('sha256', `${kind}\0${subject}\0${key}`, 'base64url');
    await database.query(
      `insert into merchant_actions (drop_id, id, kind, actor, subject, amount, reason, at)
       values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing`,
      [drop, id, kind, actor, subject, amount, reason, clock.now()],
    );
  }

  /** The latest actions on a drop, newest first. */
  async function ofDrop(drop: DropId): Promise<MerchantAction[]> {
    return await database.query<MerchantAction>(
      `select kind, actor, subject, amount, reason, at from merchant_actions
       where drop_id = $1 order by at desc, id limit ${shownMax}`,
      [drop],
    );
  }

  return { record, ofDrop };
}
