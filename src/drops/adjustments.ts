import { hash } from 'node:crypto';
import type { Clock } from '../domain/clock.ts';
import { type DropState, dropState } from '../domain/drop.ts';
import type { DropId, MerchantId } from '../domain/ids.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { StockFigures } from '../inventory/stock-figures.ts';
import type { Drops, StoredDrop } from '../ledger/drops.ts';

export type AdjustmentRequest = {
  merchantId: MerchantId;
  drop: DropId;
  sku: string;
  /** The Idempotency-Key: within a drop, one key changes the stock once. */
  key: string;
  /** Units to add; negative to take free ones away. */
  delta: number;
  reason: string;
};

export type AdjustmentResult =
  /** `figures` are the item's units after the adjustment, also when the request is repeated. */
  { kind: 'adjusted'; figures: StockFigures } | AdjustmentRefusal;

export type AdjustmentRefusal =
  /** There is no such drop, or it is another merchant's. */
  | { kind: 'unknown_drop' }
  | { kind: 'unknown_item' }
  /** More units were to be taken away than are free. */
  | { kind: 'stock_taken'; available: number }
  /** The allotment would grow beyond what a lane allows. */
  | { kind: 'allotment_over'; allotment: number }
  /** The key was used before with another item, delta or reason. */
  | { kind: 'key_reused' }
  | { kind: 'ended' }
  /** The drop was never published, so no lane has its stock yet. */
  | { kind: 'refused'; state: DropState }
  /** The lane has lost its data: its stock cannot change before it is rebuilt. */
  | { kind: 'frozen' };

export type AdjustStock = (request: AdjustmentRequest) => Promise<AdjustmentResult>;

/** Changes the stock of an item, also while it sells. */
export function openAdjustments(options: {
  drops: Pick<Drops, 'getOwned' | 'revive'>;
  lanes: Pick<Lanes, 'adjust'>;
  clock: Clock;
}): AdjustStock {
  const { drops, lanes, clock } = options;

  return async function adjustStock({ merchantId, drop: dropId, sku, key, delta, reason }) {
    const drop = await drops.getOwned(merchantId, dropId);
    if (!drop) return { kind: 'unknown_drop' };
    const item = drop.items.findIndex((candidate) => candidate.sku === sku);
    if (item < 0) return { kind: 'unknown_item' };
    // A retired drop becomes active first: otherwise nothing would read the lane's new outbox entry.
    await drops.revive(drop.id);
    const id = adjustmentId(drop.id, key);
    const answer = await lanes.adjust({ drop: drop.id, lane: 0 }, { id, item, delta, reason });
    switch (answer.status) {
      case 'adjusted':
      case 'already':
        return { kind: 'adjusted', figures: answer.figures };
      case 'below':
        return { kind: 'stock_taken', available: answer.available };
      case 'over':
        return { kind: 'allotment_over', allotment: answer.allotment };
      case 'reused':
        return { kind: 'key_reused' };
      case 'closed':
        return { kind: 'ended' };
      case 'unknown_item':
        return { kind: 'unknown_item' };
      case 'missing':
        return hadRules(drop)
          ? { kind: 'frozen' }
          : { kind: 'refused', state: dropState(drop, clock.now()) };
    }
  };
}

/** The lane remembers adjustments by this id, so that a repeated request changes nothing. */
function adjustmentId(drop: DropId, key: string): string {
  return hash('sha256', `${drop}\0${key}`, 'base64url').slice(0, 22);
}

/** Whether the lanes once had the drop's rules: if a lane has none now, it has lost its data. */
function hadRules(drop: StoredDrop): boolean {
  return drop.lanesVersion > 0 && drop.decision !== 'cancelled';
}
