import { type Clock, systemClock } from '../domain/clock.ts';
import type { BuyerId, DropId } from '../domain/ids.ts';
import { found } from '../domain/required.ts';
import type { Database } from './database/database.ts';

export type AppointmentPlace = { drop: DropId; buyer: BuyerId };

/** `madeAt`: ms since the epoch; `made`: just now, and not before. */
export type MadeAppointment = { madeAt: number; made: boolean };

export type Appointments = ReturnType<typeof openAppointments>;

/** An appointment in a list of a drop's. */
export type MadeFor = { buyer: BuyerId; madeAt: number };

const triesMax = 5;
const pageRows = 1_000;

/**
 * Appointments of buyers for drops: written before the lanes have them. One that is removed keeps its row,
 * as the proof of orders that were made with it.
 */
export function openAppointments(database: Database, clock: Clock = systemClock) {
  /**
   * Makes the appointments that do not exist yet. The places must be distinct.
   * @returns all of them, in the order of the places
   */
  async function make(places: readonly AppointmentPlace[]): Promise<MadeAppointment[]> {
    const answers = new Map<string, MadeAppointment>();
    for (let tries = 0; answers.size < places.length; tries += 1) {
      if (tries === triesMax) throw new Error('bug: an appointment neither exists nor can be made');
      const left = places.filter((place) => !answers.has(nameOf(place)));
      const rows = await database.query<AppointmentPlace & MadeAppointment>(makeSql, [
        JSON.stringify(left),
        clock.now(),
      ]);
      // One that a concurrent transaction was making is in neither half of the result: try again.
      for (const { madeAt, made, ...place } of rows) answers.set(nameOf(place), { madeAt, made });
    }
    return places.map((place) => found(answers, nameOf(place), 'appointment'));
  }

  /**
   * Makes the appointments of many buyers for a drop; a buyer may be named twice.
   * @returns how many are new
   */
  async function add(drop: DropId, buyers: readonly string[]): Promise<number> {
    const [row] = await database.query<{ added: number }>(
      `with added as (
         insert into appointments as a (drop_id, buyer, made_at)
         select distinct $1, buyer collate "C", $3::bigint from unnest($2::text[]) as r(buyer) order by 2
         on conflict (drop_id, buyer) do update set made_at = excluded.made_at, removed_at = null
           where a.removed_at is not null returning 1)
       select count(*) as added from added`,
      [drop, buyers, clock.now()],
    );
    return row?.added ?? 0;
  }

  /** When a buyer's appointment was made, ms since the epoch; undefined when there is none. */
  async function find({ drop, buyer }: AppointmentPlace): Promise<number | undefined> {
    const [row] = await database.query<{ madeAt: number }>(
      `select made_at as "madeAt" from appointments
       where drop_id = $1 and buyer = $2 and removed_at is null`,
      [drop, buyer],
    );
    return row?.madeAt;
  }

  /** How many of these buyers, each counted once, have no appointment for a drop. */
  async function countNew(drop: DropId, buyers: readonly string[]): Promise<number> {
    const [row] = await database.query<{ count: number }>(
      `select count(distinct buyer) as count from unnest($2::text[]) as r(buyer)
       where not exists (select from appointments a
         where a.drop_id = $1 and a.buyer = r.buyer collate "C" and a.removed_at is null)`,
      [drop, buyers],
    );
    return row?.count ?? 0;
  }

  /** Removes the appointments of these buyers. @returns how many there were */
  async function remove(drop: DropId, buyers: readonly string[]): Promise<number> {
    const rows = await database.query(
      `update appointments set removed_at = $3
       where drop_id = $1 and buyer = any($2::text[]) and removed_at is null returning 1`,
      [drop, buyers, clock.now()],
    );
    return rows.length;
  }

  /** The appointments of a drop by their buyers' names, those after `after` when it is given. */
  async function page(options: {
    drop: DropId;
    after?: string | undefined;
    limit: number;
  }): Promise<MadeFor[]> {
    const { drop, after = '', limit } = options;
    return await database.query<MadeFor>(
      `select buyer, made_at as "madeAt" from appointments
       where drop_id = $1 and buyer > $2 and removed_at is null order by buyer limit $3`,
      [drop, after, limit],
    );
  }

  /** All appointments of a drop, read page by page. */
  async function* stream(drop: DropId): AsyncGenerator<MadeFor> {
    let after: string | undefined;
    do {
      const rows = await page({ drop, after, limit: pageRows });
      yield* rows;
      after = rows.length < pageRows ? undefined : rows.at(-1)?.buyer;
    } while (after !== undefined);
  }

  return { make, add, find, countNew, remove, page, stream };
}

function nameOf({ drop, buyer }: AppointmentPlace): string {
  return `${drop} ${buyer}`;
}

// Sorted, so that two concurrent batches never deadlock.
const makeSql = `
  with asked as (select "drop", buyer from json_to_recordset($1::json) as r("drop" text, buyer text)),
  made as (
    insert into appointments as a (drop_id, buyer, made_at)
    select "drop", buyer, $2 from asked order by "drop" collate "C", buyer collate "C"
    on conflict (drop_id, buyer) do update set made_at = excluded.made_at, removed_at = null
      where a.removed_at is not null
    returning drop_id, buyer, made_at)
  select drop_id as "drop", buyer, made_at as "madeAt", true as made from made
  union all
  select a.drop_id, a.buyer, a.made_at, false
  from asked join appointments a on a.drop_id = asked."drop" and a.buyer = asked.buyer
    and a.removed_at is null`;
