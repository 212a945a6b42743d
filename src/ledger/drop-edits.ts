import { type Clock, systemClock } from '../domain/clock.ts';
import type { DropDefinition } from '../domain/drop.ts';
import type { DropId } from '../domain/ids.ts';
import type { Database, Query } from './database/database.ts';
import { readDrops, type StoredDrop, updateDefinition } from './drop-rows.ts';

/** What became of an edit: `open` and `adjusted` are reasons why the lanes refused it. */
export type EditState = 'pending' | 'applied' | EditRefusal;
export type EditRefusal = 'open' | 'adjusted';

export type DropEdits = ReturnType<typeof openDropEdits>;

/**
 * Edits of drops. A draft's is done at once. A published drop's is written under a new version and
 * `pending` until the lanes have answered: a refusal brings the definition before it back.
 */
export function openDropEdits(database: Database, clock: Clock = systemClock) {
  /** A drop under its row's lock, so that changes of it come one after the other. */
  async function lock(query: Query, id: DropId): Promise<StoredDrop | undefined> {
    await query('select id from drops where id = $1 for update', [id]);
    const [drop] = await readDrops(query, 'where id = $1', [id]);
    return drop;
  }

  async function write(query: Query, drop: StoredDrop): Promise<void> {
    await updateDefinition(query, drop);
    await query('update drops set version = $2, revision = $3, retired_at = null where id = $1', [
      drop.id,
      drop.version,
      drop.revision,
    ]);
  }

  /**
   * Writes the definition that `define` gives; undefined for no change. While another edit is pending
   * nothing is written: the caller has it finished first.
   * @returns undefined when there is no such drop
   * @throws the error of `define`
   */
  async function edit(
    id: DropId,
    define: (drop: StoredDrop) => DropDefinition | undefined,
  ): Promise<{ kind: 'edited' | 'unchanged' | 'pending'; drop: StoredDrop } | undefined> {
    return await database.transaction(async (query) => {
      const drop = await lock(query, id);
      if (!drop) return undefined;
      if (drop.pendingEdit) return { kind: 'pending', drop };
      const definition = define(drop);
      if (!definition) return { kind: 'unchanged', drop };
      const isDraft = drop.decision === 'draft';
      const next = redefined(drop, definition, { isDraft });
      await write(query, next);
      if (isDraft) return { kind: 'edited', drop: next };
      const pendingEdit = { version: next.version, before: definitionOf(drop) };
      await query(
        `insert into drop_edits (drop_id, version, before, state, edited_at)
           values ($1, $2, $3, 'pending', $4)`,
        [id, next.version, JSON.stringify(pendingEdit.before), clock.now()],
      );
      return { kind: 'edited', drop: { ...next, pendingEdit } };
    });
  }

  /** Records that the lanes have an edit. A repeat changes nothing. */
  async function apply(id: DropId, version: number): Promise<void> {
    await database.query(
      `update drop_edits set state = 'applied'
       where drop_id = $1 and version = $2 and state = 'pending'`,
      [id, version],
    );
  }

  /**
   * Records that the lanes refused an edit, and brings the definition before it back under a further
   * version; the merchant's decision stays as it is.
   * @returns the drop as it is then
   */
  async function revert(
    id: DropId,
    version: number,
    reason: EditRefusal,
  ): Promise<StoredDrop | undefined> {
    return await database.transaction(async (query) => {
      const drop = await lock(query, id);
      if (drop?.pendingEdit?.version !== version) return drop;
      await query('update drop_edits set state = $3 where drop_id = $1 and version = $2', [
        id,
        version,
        reason,
      ]);
      const next = redefined(drop, drop.pendingEdit.before, { isDraft: false });
      await write(query, next);
      return next;
    });
  }

  /** What became of the edit under a version; undefined when that version carries none. */
  async function stateOf(id: DropId, version: number): Promise<EditState | undefined> {
    const [edit] = await database.query<{ state: EditState }>(
      'select state from drop_edits where drop_id = $1 and version = $2',
      [id, version],
    );
    return edit?.state;
  }

  return {
    edit,
    apply,
    revert,
    stateOf,
  };
}

function redefined(
  drop: StoredDrop,
  definition: DropDefinition,
  { isDraft }: { isDraft: boolean },
): StoredDrop {
  const { id, merchantId, lanes, version, decision, lanesVersion, revision, createdAt } = drop;
  return {
    ...definition,
    id,
    merchantId,
    lanes,
    decision,
    lanesVersion,
    createdAt,
    // A draft has no version yet: its first is the one that publishes it.
    version: isDraft ? version : version + 1,
    revision: revision + 1,
  };
}

/** The merchant's part of a stored drop. */
export function definitionOf(drop: StoredDrop): DropDefinition {
  const { id, merchantId, lanes, version, decision, ...kept } = drop;
  const { lanesVersion, revision, createdAt, pendingEdit, ...definition } = kept;
  return definition;
}
