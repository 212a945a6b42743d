import { type Clock, systemClock } from '../domain/clock.ts';
import type { BuyerId, DropId } from '../domain/ids.ts';
import { found } from '../domain/required.ts';
import type { Database } from './database/database.ts';

export type AppointmentPlace = { drop: DropId; buyer: BuyerId };

/** `madeAt`: ms since the epoch; `made`: just now, and not before. */
export type MadeAppointment = { madeAt: number; made: boolean };

export type Appointments = ReturnType<typeof openAppointments>;

const triesMax = 5;

/** Appointments of buyers for drops: written before the lanes have them, and never removed. */
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
         insert into appointments (drop_id, buyer, made_at)
         select $1, buyer, $3 from unnest($2::text[]) as r(buyer) order by buyer collate "C"
         on conflict do nothing returning 1)
       select count(*) as added from added`,
      [drop, buyers, clock.now()],
    );
    return row?.added ?? 0;
  }

  /** When a buyer's appointment was made, ms since the epoch; undefined when there is none. */
  async function find({ drop, buyer }: AppointmentPlace): Promise<number | undefined> {
    const [row] = await database.query<{ madeAt: number }>(
      'select made_at as "madeAt" from appointments where drop_id = $1 and buyer = $2',
      [drop, buyer],
    );
    return row?.madeAt;
  }

  return { make, add, find };
}

function nameOf({ drop, buyer }: AppointmentPlace): string {
  return `${drop} ${buyer}`;
}

// Sorted, so that two concurrent batches never deadlock.
const makeSql = `
  with asked as (select "drop", buyer from json_to_recordset($1::json) as r("drop" text, buyer text)),
  made as (
    insert into appointments (drop_id, buyer, made_at)
    select "drop", buyer, $2 from asked order by "drop" collate "C", buyer collate "C"
    on conflict do nothing returning drop_id, buyer, made_at)
  select drop_id as "drop", buyer, made_at as "madeAt", true as made from made
  union all
  select a.drop_id, a.buyer, a.made_at, false
  from asked join appointments a on a.drop_id = asked."drop" and a.buyer = asked.buyer`;
