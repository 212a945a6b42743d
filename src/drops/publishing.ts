import type { Clock } from '../domain/clock.ts';
import { type Drop, type DropAction, type DropDefinition, decide } from '../domain/drop.ts';
import type { DropId, MerchantId } from '../domain/ids.ts';
import { type DropEdit, type Lanes, lanesOf } from '../inventory/lanes.ts';
import type { DropEdits } from '../ledger/drop-edits.ts';
import type { Drops, StoredDrop } from '../ledger/drops.ts';
import type { Orders } from '../ledger/orders.ts';
import type { Log } from '../log.ts';
import { isBehind } from './lost-lanes.ts';

export type ActionResult =
  | { kind: 'done'; drop: StoredDrop }
  /** The drop's state does not allow the action. */
  | { kind: 'refused'; drop: StoredDrop }
  | { kind: 'unknown' }
  /** A lane has lost data: nothing sells before it is rebuilt. */
  | { kind: 'frozen' };

export type Publishing = {
  /**
   * A merchant's action on one of their drops: written to the ledger, then to the lanes.
   * @throws when a store does not answer; once the ledger has the decision, `sync` finishes the rest
   */
  act(request: { merchantId: MerchantId; drop: DropId; action: DropAction }): Promise<ActionResult>;
  /**
   * Publishes a drop to its lanes, and takes its pending edit back if they refuse it.
   * @returns the drop as it is then; undefined when a lane has lost its data
   */
  bringToLanes(drop: StoredDrop): Promise<StoredDrop | undefined>;
  /** Publishes to the lanes all decisions that a crash or a Redis outage kept from them. */
  sync(): Promise<void>;
  /** Pauses a drop that has lost data in a lane. */
  freeze(drop: DropId): Promise<void>;
};

const syncDropsMax = 100;

/**
 * The ledger holds the merchants' decisions; the lanes follow it version by version. A decision is
 * written to the ledger first and reaches the lanes from there, at once or by a later `sync`.
 */
export function openPublishing(options: {
  ledgerDrops: Drops;
  edits: Pick<DropEdits, 'apply' | 'revert'>;
  orders: Pick<Orders, 'positions'>;
  lanes: Lanes;
  clock: Clock;
  log: Log;
  /** Called when the lanes have a new version, so that background work starts on them at once. */
  onPublished?(drop: Drop): void;
}): Publishing {
  const { ledgerDrops, edits, orders, lanes, clock, log } = options;

  async function bringToLanes(stored: StoredDrop): Promise<StoredDrop | undefined> {
    const { lanesVersion, createdAt: _, revision: __, pendingEdit: pending, ...drop } = stored;
    if (neverSold(stored)) {
      await ledgerDrops.markLanes(drop.id, drop.version);
      return stored;
    }
    const edit = pending && {
      changes: changesOf(pending.before, drop),
      version: pending.version,
    };
    const answers = await Promise.all(
      lanesOf(drop).map(({ lane }) => lanes.publish(drop, lane, lanesVersion === 0, edit)),
    );
    const lost = answers.flatMap((answer, lane) => (answer === 'lost' ? [lane] : []));
    if (lost.length > 0) {
      log.error({ drop: drop.id, lanes: lost }, 'lanes lost their data: the drop is frozen');
      return undefined;
    }
    const refusal = answers.find((answer) => answer === 'open' || answer === 'adjusted');
    if (pending && refusal) {
      const reverted = await edits.revert(drop.id, pending.version, refusal);
      return reverted && (await bringToLanes(reverted));
    }
    if (pending) await edits.apply(drop.id, pending.version);
    await ledgerDrops.markLanes(drop.id, drop.version);
    options.onPublished?.(drop);
    return stored;
  }

  /** Whether a lane's outbox ends before what the ledger has read from it. */
  async function hasLost(drop: StoredDrop): Promise<boolean> {
    if (drop.lanesVersion === 0) return false;
    const positions = await orders.positions(drop.id);
    const inspected = await Promise.all(lanesOf(drop).map(lanes.inspect));
    return inspected.some((lane, index) => {
      return isBehind(lane, positions.find((position) => position.lane === index)?.last);
    });
  }

  let syncedTo: DropId | undefined;

  async function act(request: Parameters<Publishing['act']>[0]): Promise<ActionResult> {
    const { merchantId, drop: id, action } = request;
    const owned = await ledgerDrops.getOwned(merchantId, id);
    if (!owned) return { kind: 'unknown' };
    const now = clock.now();
    if (action === 'resume' && (await hasLost(owned))) return { kind: 'frozen' };
    let refused = false;
    const changed = await ledgerDrops.change(id, (drop) => {
      const decided = decide(drop, action, now);
      // Publishing a drop whose window is over would sell nothing: the window must be wrong.
      refused = decided.kind === 'refused' || (action === 'publish' && now >= drop.endsAt);
      return refused || decided.kind !== 'move' ? undefined : { decision: decided.to };
    });
    if (!changed) return { kind: 'unknown' };
    const { drop } = changed;
    if (refused) return { kind: 'refused', drop };
    const isThere = drop.version === drop.lanesVersion;
    const published = isThere ? drop : await bringToLanes(drop);
    // A lane without data sells nothing, so an action that stops the sale is done there anyway.
    const starts = action === 'publish' || action === 'resume';
    return published || !starts ? { kind: 'done', drop: published ?? drop } : { kind: 'frozen' };
  }

  return {
    act,
    bringToLanes,

    async sync() {
      const behind = await ledgerDrops.unsynced(syncDropsMax, syncedTo);
      // Drops whose lanes have lost their data stay behind for ever and must not block the others.
      syncedTo = behind.length < syncDropsMax ? undefined : behind.at(-1)?.id;
      for (const drop of behind) {
        try {
          await bringToLanes(drop);
        } catch (error) {
          log.warn({ err: error, drop: drop.id }, 'publishing a drop to its lanes failed');
        }
      }
    },

    async freeze(id) {
      const changed = await ledgerDrops.change(id, (drop) => {
        return drop.decision === 'live' ? { decision: 'paused' } : undefined;
      });
      if (changed?.changed) await bringToLanes(changed.drop);
    },
  };
}

/** Whether an edit changes what is in stock, or only the rules by which it is sold. */
function changesOf(before: DropDefinition, { items }: DropDefinition): DropEdit['changes'] {
  const isSame =
    before.items.length === items.length &&
    before.items.every(({ allotment }, index) => allotment === items[index]?.allotment);
  return isSame ? 'rules' : 'stock';
}

/** Whether this is a draft that was cancelled: its lanes never had it and need no change. */
function neverSold(drop: StoredDrop): boolean {
  return drop.version === 1 && drop.decision === 'cancelled';
}
