import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../domain/clock.ts';
import { type DropDefinition, type DropState, dropState } from '../domain/drop.ts';
import type { DropId, MerchantId } from '../domain/ids.ts';
import { type DropEdits, definitionOf } from '../ledger/drop-edits.ts';
import type { Drops, StoredDrop } from '../ledger/drops.ts';
import type { Publishing } from './publishing.ts';

export type EditRequest = {
  merchantId: MerchantId;
  drop: DropId;
  /** The edit is refused unless the drop has one of these; any when absent. */
  revisions?: readonly number[] | undefined;
  /** The definition that the drop is to have; called with the drop as it is at that moment. */
  define(drop: StoredDrop): DropDefinition;
};

export type EditResult =
  /** `drop` is as it was edited, also when the edit changes nothing. */
  { kind: 'done'; drop: StoredDrop } | EditRefusal;

export type EditRefusal =
  | { kind: 'unknown' }
  /** The drop has opened, or its merchant has ended it. */
  | { kind: 'refused'; state: DropState }
  /** Someone changed the drop since the caller read it. */
  | { kind: 'changed'; revision: number }
  /** The item at this position would be moved or removed, and the drop is published. */
  | { kind: 'item_moved'; index: number; sku: string }
  /** Items or allotments would change, and adjustments have changed the stock. */
  | { kind: 'adjusted' }
  | { kind: 'frozen' };

export type EditDrop = (request: EditRequest) => Promise<EditResult>;

/**
 * Edits a drop until it opens. A published drop's edit goes to the ledger and then to the lane, which
 * takes it only before the opening on Redis' clock; if it does not, the ledger takes the edit back.
 * Whatever edits race, each is taken or refused whole.
 */
export function openEdits(options: {
  drops: Pick<Drops, 'getOwned' | 'get'>;
  edits: DropEdits;
  publishing: Pick<Publishing, 'bringToLanes'>;
  clock: Clock;
}): EditDrop {
  const { drops, edits, publishing, clock } = options;

  return async function editDrop(request) {
    const { merchantId, drop: id } = request;
    if (!(await drops.getOwned(merchantId, id))) return { kind: 'unknown' };
    let result = await editOnce(request);
    while (!result) result = await editOnce(request);
    return result;
  };

  /** Undefined when another edit was pending: it is finished then, and this one can be tried again. */
  async function editOnce(request: EditRequest): Promise<EditResult | undefined> {
    let refusal: EditRefusal | undefined;
    const result = await edits.edit(request.drop, (drop) => {
      const definition = request.define(drop);
      refusal = refuse(drop, definition, request.revisions);
      const isSame = isDeepStrictEqual(bare(definitionOf(drop)), bare(definition));
      return refusal || isSame ? undefined : definition;
    });
    if (!result) return { kind: 'unknown' };
    if (refusal) return refusal;
    const { kind, drop } = result;
    if (kind === 'unchanged' || drop.decision === 'draft') return { kind: 'done', drop };
    const brought = await publishing.bringToLanes(drop);
    if (kind === 'edited') return await resultOf(drop, brought);
    return brought ? undefined : { kind: 'frozen' };
  }

  function refuse(
    drop: StoredDrop,
    { items }: DropDefinition,
    revisions: readonly number[] | undefined,
  ): EditRefusal | undefined {
    const { decision, revision } = drop;
    if (decision === 'ended' || decision === 'cancelled')
      return { kind: 'refused', state: decision };
    if (revisions && !revisions.includes(revision)) return { kind: 'changed', revision };
    if (decision === 'draft') return undefined;
    // Lanes take an edit one by one: with several, one could open before another has answered.
    if (drop.lanes > 1) return { kind: 'refused', state: dropState(drop, clock.now()) };
    // A process may know the drop as it was for a moment longer: a position never changes its item.
    const index = drop.items.findIndex(({ sku }, position) => items[position]?.sku !== sku);
    const moved = drop.items[index];
    return moved && { kind: 'item_moved', index, sku: moved.sku };
  }

  /** Another process may have finished the edit, so the ledger tells what became of it. */
  async function resultOf(
    edited: StoredDrop,
    brought: StoredDrop | undefined,
  ): Promise<EditResult> {
    const { id, version } = edited;
    switch (await edits.stateOf(id, version)) {
      case 'open': {
        const drop = brought ?? edited;
        return { kind: 'refused', state: dropState(drop, Math.max(clock.now(), drop.startsAt)) };
      }
      case 'adjusted':
        return { kind: 'adjusted' };
      case 'applied':
        return { kind: 'done', drop: edited };
      default:
        return { kind: 'frozen' };
    }
  }
}

/** Without members that are undefined, which the ledger does not keep. */
function bare(definition: DropDefinition): unknown {
  return JSON.parse(JSON.stringify(definition));
}
