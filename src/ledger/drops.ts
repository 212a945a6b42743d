import { type Clock, systemClock } from '../domain/clock.ts';
import type { Drop } from '../domain/drop.ts';
import type { DropId, MerchantId } from '../domain/ids.ts';
import { decodeCursor, type Page, pageOf } from './cursor.ts';
import type { Database } from './database/database.ts';
import { insertDrop, readDrops, type StoredDrop } from './drop-rows.ts';

/** The fields of a drop that may change after its creation. */
export type DropChange = Partial<
  Pick<Drop, 'decision' | 'title' | 'startsAt' | 'endsAt' | 'holdMs' | 'lateCapture'>
>;

export type { StoredDrop };
export type Drops = ReturnType<typeof openDrops>;

/** How long a drop stays active after a revival, ms: longer than a write to its lanes takes, the provider asked first. */
const revivedMs = 600_000;

/**
 * Drops as their merchants defined them. The lanes are updated later: see `change`, `unsynced`,
 * `markLanes`.
 */
export function openDrops(database: Database, clock: Clock = systemClock) {
  async function create(drop: Drop): Promise<StoredDrop> {
    const createdAt = clock.now();
    await database.transaction((query) => insertDrop(query, drop, createdAt));
    return { ...drop, lanesVersion: 0, revision: 1, createdAt };
  }

  /** A drop by id. Its items' `allotment` is as created; adjustments are counted by the lanes. */
  async function get(id: DropId): Promise<StoredDrop | undefined> {
    const [drop] = await readDrops(database.query, 'where id = $1', [id]);
    return drop;
  }

  /** Those of the drops whose lanes ever had them; a draft that was cancelled is not among them. */
  async function published(ids: readonly DropId[]): Promise<ReadonlySet<DropId>> {
    const rows = await database.query<{ id: DropId }>(
      `select id from drops where id = any($1::text[]) and lanes_version > 0
         and not (decision = 'cancelled' and version = 1)`,
      [ids],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Those of the drops that the ledger has, in whatever state. */
  async function existing(ids: readonly DropId[]): Promise<ReadonlySet<DropId>> {
    const rows = await database.query<{ id: DropId }>(
      'select id from drops where id = any($1::text[])',
      [ids],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** A drop, if it is this merchant's. */
  async function getOwned(merchantId: MerchantId, id: DropId): Promise<StoredDrop | undefined> {
    const [drop] = await readDrops(database.query, 'where id = $1 and merchant_id = $2', [
      id,
      merchantId,
    ]);
    return drop;
  }

  /** A merchant's drops, newest first. A cursor that is not ours begins at the start. */
  async function listOwned(
    merchantId: MerchantId,
    options: { cursor?: string | undefined; limit: number },
  ): Promise<Page<StoredDrop>> {
    const place = options.cursor === undefined ? undefined : decodeCursor(options.cursor);
    const rows = await readDrops(
      database.query,
      `where merchant_id = $1 and (created_at, id) < ($2, $3)
       order by created_at desc, id desc limit $4`,
      [merchantId, place?.at ?? Number.MAX_SAFE_INTEGER, place?.id ?? '', options.limit + 1],
    );
    return pageOf(rows, options.limit, (drop) => ({ at: drop.createdAt, id: drop.id }));
  }

  /**
   * Changes a drop under its row's lock. `decide` gets the drop as it is and returns the change, or
   * undefined for none; an error changes nothing either. A change raises `version` by one, and the
   * drop is `unsynced` until the lanes have it.
   * @returns undefined when there is no such drop
   * @throws the error of `decide`
   */
  async function change(
    id: DropId,
    decide: (drop: Drop) => DropChange | undefined,
  ): Promise<{ drop: StoredDrop; changed: boolean } | undefined> {
    return await database.transaction(async (query) => {
      await query('select id from drops where id = $1 for update', [id]);
      const [drop] = await readDrops(query, 'where id = $1', [id]);
      if (!drop) return undefined;
      const wanted = decide(drop);
      if (!wanted) return { drop, changed: false };
      const { version, revision } = drop;
      const next = { ...drop, ...wanted, version: version + 1, revision: revision + 1 };
      await query(
        `update drops set decision = $2, title = $3, starts_at = $4, ends_at = $5, hold_ms = $6,
           late_capture = $7, version = $8, revision = $9, retired_at = null where id = $1`,
        [
          id,
          next.decision,
          next.title,
          next.startsAt,
          next.endsAt,
          next.holdMs,
          next.lateCapture,
          next.version,
          next.revision,
        ],
      );
      return { drop: next, changed: true };
    });
  }

  /** Records that every lane has acknowledged a version; one older than the recorded changes nothing. */
  async function markLanes(id: DropId, version: number): Promise<void> {
    await database.query(
      'update drops set lanes_version = $2 where id = $1 and lanes_version < $2 and version >= $2',
      [id, version],
    );
  }

  /** A merchant's drops that are open by this clock, those that end first come first. */
  async function onSale(merchantId: MerchantId, limit: number): Promise<StoredDrop[]> {
    return await readDrops(
      database.query,
      `where merchant_id = $1 and decision = 'live' and ends_at > $2 and starts_at <= $2
         and lanes_version > 0
       order by ends_at, id limit $3`,
      [merchantId, clock.now(), limit],
    );
  }

  /** Drops whose lanes have not acknowledged the latest version, by id, from after `after` on. */
  async function unsynced(limit = 100, after = ''): Promise<StoredDrop[]> {
    return await readDrops(
      database.query,
      'where lanes_version < version and id > $2 order by id limit $1',
      [limit, after],
    );
  }

  /** Drops whose lanes the relay and the sweepers read: published once and not retired. */
  async function active(): Promise<StoredDrop[]> {
    return await readDrops(database.query, 'where version > 0 and retired_at is null order by id');
  }

  /**
   * Retires a drop: its lanes are no longer read. The caller has found every lane's outbox empty; this
   * checks that the drop is over, that its lanes have its latest version, and that no order is
   * reserved, or paid in a cancelled drop, and that nobody has revived it of late. Any later `change` or
   * `revive` makes it active again.
   * @returns false when one of these conditions does not hold
   */
  async function retire(id: DropId): Promise<boolean> {
    const now = clock.now();
    const rows = await database.query(
      `update drops set retired_at = $2
       where id = $1 and retired_at is null and lanes_version = version
         and (decision in ('ended', 'cancelled') or ends_at <= $2)
         and coalesce(revived_at, 0) <= $3
         and not exists (
           select from orders where drop_id = $1
             and (state = 'reserved' or (state = 'paid' and decision = 'cancelled')))
       returning id`,
      [id, now, now - revivedMs],
    );
    return rows.length > 0;
  }

  /**
   * Makes a retired drop active again, and keeps an active one from being retired for minutes: its
   * outboxes may have been found empty just now. To be called before anything is written to its lanes.
   */
  async function revive(id: DropId): Promise<void> {
    const now = clock.now();
    await database.query(
      `update drops set retired_at = null, revived_at = $2
       where id = $1 and (retired_at is not null or coalesce(revived_at, 0) <= $3)`,
      // Not again at each of many refunds.
      [id, now, now - revivedMs / 2],
    );
  }

  /**
   * Deletes a draft of this merchant. A repeat is answered like the first request.
   * @returns the drop when it is no draft any more, 'unknown' when the merchant never had it
   */
  async function deleteDraft(
    merchantId: MerchantId,
    id: DropId,
  ): Promise<'deleted' | 'unknown' | StoredDrop> {
    return await database.transaction(async (query) => {
      const mine = [id, merchantId];
      await query('select id from drops where id = $1 and merchant_id = $2 for update', mine);
      const [drop] = await readDrops(query, 'where id = $1 and merchant_id = $2', mine);
      if (drop && drop.decision !== 'draft') return drop;
      if (!drop) {
        const gone = 'select from deleted_drafts where id = $1 and merchant_id = $2';
        return (await query(gone, mine)).length > 0 ? 'deleted' : 'unknown';
      }
      await query('insert into deleted_drafts (id, merchant_id, deleted_at) values ($1, $2, $3)', [
        ...mine,
        clock.now(),
      ]);
      await query('delete from drops where id = $1', [id]);
      return 'deleted';
    });
  }

  return {
    create,
    deleteDraft,
    get,
    published,
    existing,
    getOwned,
    listOwned,
    onSale,
    change,
    markLanes,
    unsynced,
    active,
    retire,
    revive,
  };
}
