import type { Description, Drop, DropDefinition, Item } from '../domain/drop.ts';
import type { DropId } from '../domain/ids.ts';
import type { Query } from './database/database.ts';

const columns = `id, merchant_id as "merchantId", title, currency, starts_at as "startsAt",
  ends_at as "endsAt", hold_ms as "holdMs", late_capture as "lateCapture", lanes, version,
  decision, password_above as "passwordAbove", details,
  appointment_from as "appointmentFrom", appointment_until as "appointmentUntil",
  lanes_version as "lanesVersion", revision, created_at as "createdAt",
  (select json_build_object('version', e.version, 'before', e.before) from drop_edits e
   where e.drop_id = drops.id and e.state = 'pending') as "pendingEdit"`;

/** A drop with the fields that only the ledger has. */
export type StoredDrop = Drop & {
  /** The version that every lane has acknowledged; 0 until the first is published. */
  lanesVersion: number;
  /** Grows by one with each change, drafts included; 1 at its creation. */
  revision: number;
  createdAt: number;
  /** The edit that the lanes have not answered yet. */
  pendingEdit?: PendingEdit | undefined;
};

/** An edit under the version that brings it to the lanes; `before` is the definition before it. */
export type PendingEdit = { version: number; before: DropDefinition };

/** The part of a drop that one column keeps as JSON. */
type DropDetails = Description &
  Pick<Drop, 'paymentMethods' | 'fields' | 'perBuyer' | 'unpaidHoldMs' | 'lapsesMax'>;

type DropRow = Omit<
  StoredDrop,
  'items' | 'appointment' | 'passwordAbove' | 'pendingEdit' | keyof DropDetails
> & {
  details: DropDetails;
  pendingEdit: PendingEdit | null;
  passwordAbove: number | null;
  appointmentFrom: number | null;
  appointmentUntil: number | null;
};

/** Adds a drop with its items. */
export async function insertDrop(query: Query, drop: Drop, createdAt: number): Promise<void> {
  const { id, merchantId: merchant_id, lanes, version, decision } = drop;
  const columns = { id, merchant_id, lanes, version, decision, created_at: createdAt };
  const row = { ...columns, ...definitionRow(drop) };
  const places = Object.keys(row).map((_, index) => `$${index + 1}`);
  await query(
    `insert into drops (${Object.keys(row).join(', ')}) values (${places.join(', ')})`,
    Object.values(row),
  );
  await writeItems(query, drop);
}

/** Writes the definition of a drop anew. */
export async function updateDefinition(query: Query, drop: Drop): Promise<void> {
  const row = definitionRow(drop);
  const sets = Object.keys(row).map((name, index) => `${name} = $${index + 2}`);
  await query(`update drops set ${sets.join(', ')} where id = $1`, [
    drop.id,
    ...Object.values(row),
  ]);
  await query('delete from drop_items where drop_id = $1', [drop.id]);
  await writeItems(query, drop);
}

/** The columns of a drop's definition; its items have a table of their own. */
function definitionRow(drop: DropDefinition): Record<string, unknown> {
  return {
    title: drop.title,
    currency: drop.currency,
    starts_at: drop.startsAt,
    ends_at: drop.endsAt,
    hold_ms: drop.holdMs,
    late_capture: drop.lateCapture,
    appointment_from: drop.appointment?.from ?? null,
    appointment_until: drop.appointment?.until ?? null,
    password_above: drop.passwordAbove ?? null,
    details: JSON.stringify(detailsOf(drop)),
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

function detailsOf(drop: DropDefinition): DropDetails {
  const { paymentMethods, fields, perBuyer, unpaidHoldMs, lapsesMax } = drop;
  return { ...descriptionOf(drop), paymentMethods, fields, perBuyer, unpaidHoldMs, lapsesMax };
}

/** The drops that `clause` selects, each with its items. */
export async function readDrops(
  query: Query,
  clause: string,
  params: unknown[] = [],
): Promise<StoredDrop[]> {
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
      pendingEdit,
      ...row
    } = stored;
    return {
      ...row,
      ...details,
      ...(from === null || until === null ? {} : { appointment: { from, until } }),
      ...(passwordAbove === null ? {} : { passwordAbove }),
      ...(pendingEdit === null ? {} : { pendingEdit }),
      items: items
        .filter((item) => item.dropId === row.id)
        .map(({ dropId: _, details: told, ...item }) => ({ ...item, ...told })),
    };
  });
}
