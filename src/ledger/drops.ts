import { type Clock, systemClock } from '../domain/clock.ts';
import type { Description, Drop, Item } from '../domain/drop.ts';
import type { DropId, MerchantId } from '../domain/ids.ts';
import { decodeCursor, type Page, pageOf } from './cursor.ts';
import type { Database, Query } from './database/database.ts';

/** The fields of a drop that may change after its creation. */
export type DropChange = Partial<
  Pick<Drop, 'decision' | 'title' | 'startsAt' | 'endsAt' | 'holdMs' | 'lateCapture'>
>;

export type Drops = ReturnType<typeof openDrops>;

const columns = `id, merchant_id as "merchantId", title, currency, starts_at as "startsAt",
  ends_at as "endsAt", hold_ms as "holdMs", late_capture as "lateCapture", lanes, version,
  decision, password_above as "passwordAbove", details,
  appointment_from as "appointmentFrom", appointment_until as "appointmentUntil",
  lanes_version as "lanesVersion", created_at as "createdAt"`;

/** A drop with the fields that only the ledger has. */
export type StoredDrop = Drop & {
  /** The version that every lane has acknowledged; 0 until the first is published. */
  lanesVersion: number;
  createdAt: number;
};

/** The part of a drop that one column keeps as JSON. */
type DropDetails = Description & Pick<Drop, 'paymentMethods'>;

type DropRow = Omit<StoredDrop, 'items' | 'appointment' | 'passwordAbove' | keyof DropDetails> & {
  details: DropDetails;
  passwordAbove: number | null;
  appointmentFrom: number | null;
  appointmentUntil: number | null;
};

/**
 * Drops as their merchants defined them. The lanes are updated later: see `change`, `unsynced`,
 * `markLanes`.
 */
export function openDrops(database: Database, clock: Clock = systemClock) {
  async function create(drop: Drop): Promise<void> {
    await database.transaction(async (query) => {
      await query(
        `insert into drops (id, merchant_id, title, currency, starts_at, ends_at, hold_ms,
           late_capture, lanes, version, decision, created_at, appointment_from, appointment_until,
           password_above, details)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
        [
          drop.id,
          drop.merchantId,
          drop.title,
          drop.currency,
          drop.startsAt,
          drop.endsAt,
          drop.holdMs,
          drop.lateCapture,
          drop.lanes,
          drop.version,
          drop.decision,
          clock.now(),
          drop.appointment?.from ?? null,
          drop.appointment?.until ?? null,
          drop.passwordAbove ?? null,
          JSON.stringify(detailsOf(drop)),
        ],
      );
      await writeItems(query, drop);
    });
  }

  /** A drop by id. Its items' `allotment` is as created; adjustments are counted by the lanes. */
  async function get(id: DropId): Promise<StoredDrop | undefined> {
    const [drop] = await select(database.query, 'where id = $1', [id]);
    return drop;
  }

  /** Whether lanes ever had the drop; false for a draft that was cancelled. */
  async function wasPublished(id: DropId): Promise<boolean> {
    const rows = await database.query(
      `select from drops where id = $1 and lanes_version > 0
         and not (decision = 'cancelled' and version = 1)`,
      [id],
    );
    return rows.length > 0;
  }

  /** A drop, if it is this merchant's. */
  async function getOwned(merchantId: MerchantId, id: DropId): Promise<StoredDrop | undefined> {
    const [drop] = await select(database.query, 'where id = $1 and merchant_id = $2', [
      id,
      merchantId,
    ]);
    return drop;
  }

  /** A merchant's drops, newest first. A cursor that is not ours begins at the start. */
  async function listOwned(
    merchantId: MerchantId,
    options: { cursor?: string | undefined; limit: number },
  ): Promise<Page<Drop>> {
    const place = options.cursor === undefined ? undefined : decodeCursor(options.cursor);
    const rows = await select(
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
      const [drop] = await select(query, 'where id = $1', [id]);
      if (!drop) return undefined;
      const wanted = decide(drop);
      if (!wanted) return { drop, changed: false };
      const next: StoredDrop = { ...drop, ...wanted, version: drop.version + 1 };
      await query(
        `update drops set decision = $2, title = $3, starts_at = $4, ends_at = $5, hold_ms = $6,
           late_capture = $7, version = $8, retired_at = null where id = $1`,
        [
          id,
          next.decision,
          next.title,
          next.startsAt,
          next.endsAt,
          next.holdMs,
          next.lateCapture,
          next.version,
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

  /** Drops whose lanes have not acknowledged the latest version. */
  async function unsynced(limit = 100): Promise<StoredDrop[]> {
    return await select(database.query, 'where lanes_version < version order by id limit $1', [
      limit,
    ]);
  }

  /** Drops whose lanes the relay and the sweepers read: published once and not retired. */
  async function active(): Promise<StoredDrop[]> {
    return await select(database.query, 'where version > 0 and retired_at is null order by id');
  }

  /**
   * Retires a drop: its lanes are no longer read. The caller has found every lane's outbox empty; this
   * checks that the drop is over, that its lanes have its latest version, and that no order is
   * reserved, or paid in a cancelled drop. Any later `change` or `revive` makes it active again.
   * @returns false when one of these conditions does not hold
   */
  async function retire(id: DropId): Promise<boolean> {
    const now = clock.now();
    const rows = await database.query(
      `update drops set retired_at = $2
       where id = $1 and retired_at is null and lanes_version = version
         and (decision in ('ended', 'cancelled') or ends_at <= $2)
         and not exists (
           select from orders where drop_id = $1
             and (state = 'reserved' or (state = 'paid' and decision = 'cancelled')))
       returning id`,
      [id, now],
    );
    return rows.length > 0;
  }

  /** Makes a retired drop active again. To be called before anything is written to its lanes. */
  async function revive(id: DropId): Promise<void> {
    await database.query(
      'update drops set retired_at = null where id = $1 and retired_at is not null',
      [id],
    );
  }

  return {
    create,
    get,
    wasPublished,
    getOwned,
    listOwned,
    change,
    markLanes,
    unsynced,
    active,
    retire,
    revive,
  };
}

type ItemRow = Omit<Item, keyof Description> & { dropId: DropId; details: Description };

async function writeItems(query: Query, { id, items }: Pick<Drop, 'id' | 'items'>): Promise<void> {
  const rows = items.map((item, position) => {
    return { ...item, position, details: descriptionOf(item) };
  });
  await query(
    `insert into drop_items (drop_id, position, sku, title, unit_amount, allotment, per_buyer, details)
     select $1, position, sku, title, "unitAmount", allotment, "perBuyer", details
     from json_to_recordset($2::json) as item(position integer, sku text, title text,
       "unitAmount" bigint, allotment integer, "perBuyer" integer, details json)`,
    [id, JSON.stringify(rows)],
  );
}

function descriptionOf({ description, image, link, metadata }: Description): Description {
  return { description, image, link, metadata };
}

function detailsOf(drop: Drop): DropDetails {
  return { ...descriptionOf(drop), paymentMethods: drop.paymentMethods };
}

async function select(query: Query, clause: string, params: unknown[] = []): Promise<StoredDrop[]> {
  const rows = await query<DropRow>(`select ${columns} from drops ${clause}`, params);
  if (rows.length === 0) return [];
  const items = await query<ItemRow>(
    `select drop_id as "dropId", sku, title, unit_amount as "unitAmount", allotment,
       per_buyer as "perBuyer", details
     from drop_items where drop_id = any($1::text[]) order by drop_id, position`,
    [rows.map((row) => row.id)],
  );
  return rows.map((stored) => {
    const {
      appointmentFrom: from,
      appointmentUntil: until,
      passwordAbove,
      details,
      ...row
    } = stored;
    return {
      ...row,
      ...details,
      ...(from === null || until === null ? {} : { appointment: { from, until } }),
      ...(passwordAbove === null ? {} : { passwordAbove }),
      items: items
        .filter((item) => item.dropId === row.id)
        .map(({ dropId: _, details: told, ...item }) => ({ ...item, ...told })),
    };
  });
}
