import type { Clock } from '../domain/clock.ts';
import { type Drop, type DropAction, decide } from '../domain/drop.ts';
import type { DropId } from '../domain/ids.ts';
import { type Lanes, lanesOf } from '../inventory/lanes.ts';
import type { Drops, StoredDrop } from '../ledger/drops.ts';
import type { Orders } from '../ledger/orders.ts';
import type { Log } from '../log.ts';
import { isBehind } from './lost-lanes.ts';

export type Acted =
  | { kind: 'done'; drop: Drop }
  /** The drop's state does not allow the action. */
  | { kind: 'refused'; drop: Drop }
  | { kind: 'unknown' }
  /** A lane has lost data: nothing is sold before it is rebuilt. */
  | { kind: 'frozen' };

export type Publishing = {
  /** A merchant's action on a drop of theirs, all the way to the lanes. */
  act(request: { merchantId: string; drop: DropId; action: DropAction }): Promise<Acted>;
  /** Brings to the lanes what a crash or an absent Redis kept from them. */
  sync(): Promise<void>;
  /** Stops the selling of a drop that has lost data in a lane. */
  freeze(drop: DropId): Promise<void>;
};

const syncDropsMax = 100;

/**
 * The ledger holds what merchants decided and the lanes follow it, version by version. The decision
 * is written first: from then on it reaches the lanes, now or by `sync`.
 */
export function openPublishing(options: {
  ledgerDrops: Drops;
  orders: Pick<Orders, 'positions'>;
  lanes: Lanes;
  clock: Clock;
  log: Log;
  /** Told once the lanes have a new version: what watches them need not wait for its next look. */
  onPublished?(drop: Drop): void;
}): Publishing {
  const { ledgerDrops, orders, lanes, clock, log } = options;

  /** Brings the rules of a drop to all its lanes; false when one of them has lost its data. */
  async function bring(stored: StoredDrop): Promise<boolean> {
    const { lanesVersion, createdAt: _, ...drop } = stored;
    if (neverSold(stored)) {
      await ledgerDrops.markLanes(drop.id, drop.version);
      return true;
    }
    const answers = await Promise.all(
      lanesOf(drop).map(({ lane }) => lanes.publish(drop, lane, lanesVersion === 0)),
    );
    const lost = answers.flatMap((answer, lane) => (answer === 'lost' ? [lane] : []));
    if (lost.length > 0) {
      log.error({ drop: drop.id, lanes: lost }, 'lanes have lost their data: the drop is frozen');
      return false;
    }
    await ledgerDrops.markLanes(drop.id, drop.version);
    options.onPublished?.(drop);
    return true;
  }

  /** Whether a lane is behind what it once told the ledger. */
  async function hasLost(drop: StoredDrop): Promise<boolean> {
    if (drop.lanesVersion === 0) return false;
    const positions = await orders.positions(drop.id);
    const inspected = await Promise.all(lanesOf(drop).map(lanes.inspect));
    return inspected.some((lane, index) => {
      return isBehind(lane, positions.find((position) => position.lane === index)?.last);
    });
  }

  async function act(request: Parameters<Publishing['act']>[0]): Promise<Acted> {
    const { merchantId, drop: id, action } = request;
    const owned = await ledgerDrops.getOwned(merchantId, id);
    if (!owned) return { kind: 'unknown' };
    const now = clock.now();
    if (action === 'resume' && (await hasLost(owned))) return { kind: 'frozen' };
    let refused = false;
    const changed = await ledgerDrops.change(id, (drop) => {
      const decided = decide(drop, action, now);
      // A sale that would be over before it began is a mistake in the window.
      refused = decided.kind === 'refused' || (action === 'publish' && now >= drop.endsAt);
      return refused || decided.kind !== 'move' ? undefined : { decision: decided.to };
    });
    if (!changed) return { kind: 'unknown' };
    const { drop } = changed;
    if (refused) return { kind: 'refused', drop };
    const brought = drop.version === drop.lanesVersion || (await bring(drop));
    // A lane that has lost its data sells nothing: what stops a sale holds there without being told.
    const starts = action === 'publish' || action === 'resume';
    return brought || !starts ? { kind: 'done', drop } : { kind: 'frozen' };
  }

  return {
    act,

    async sync() {
      for (const drop of await ledgerDrops.unsynced(syncDropsMax)) {
        try {
          await bring(drop);
        } catch (error) {
          log.warn({ err: error, drop: drop.id }, 'the lanes of a drop cannot be reached');
        }
      }
    },

    async freeze(id) {
      const changed = await ledgerDrops.change(id, (drop) => {
        return drop.decision === 'live' ? { decision: 'paused' } : undefined;
      });
      if (changed?.changed) await bring(changed.drop);
    },
  };
}

/** A draft that was cancelled: no lane ever heard of it, and none has to. */
function neverSold(drop: StoredDrop): boolean {
  return drop.version === 1 && drop.decision === 'cancelled';
}
