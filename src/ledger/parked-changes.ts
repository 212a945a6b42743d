import { type Clock, systemClock } from '../domain/clock.ts';
import type { DropId } from '../domain/ids.ts';
import type { Database } from './database/database.ts';

/** A change of an outbox entry that could not be read or recorded. */
export type ParkedChange = {
  drop: DropId;
  lane: number;
  /** The id of its entry in the lane's outbox. */
  entry: string;
  /** Its position in the entry. */
  place: number;
  /** Redis' clock when it happened, ms. */
  at: number;
  field: string;
  value: string;
};

export type ParkedChanges = ReturnType<typeof openParkedChanges>;

const errorCharactersMax = 500;
const retryFirstMs = 60_000;
const retryMostMs = 3_600_000;

/** Changes that the relay set aside, so that those beside and behind them go on. */
export function openParkedChanges(database: Database, clock: Clock = systemClock) {
  return {
    /** Sets changes aside with their errors; one that was parked before gets its latest error. */
    async park(changes: readonly (ParkedChange & { error: unknown })[]): Promise<void> {
      if (changes.length === 0) return;
      const rows = changes.map(({ field, value, error, ...change }) => ({
        ...change,
        change: JSON.stringify([field, value]),
        error: textOf(error),
      }));
      const now = clock.now();
      await database.query(parkSql, [JSON.stringify(rows), now, now + retryFirstMs]);
    },

    /** Takes changes that are due to be tried again, and sets the next time for each. */
    async takeDue({ limit }: { limit: number }): Promise<ParkedChange[]> {
      const rows = await database.query<Omit<ParkedChange, 'field' | 'value'> & { change: string }>(
        takeSql,
        [clock.now(), limit],
      );
      return rows.map(({ change, ...row }) => {
        return { ...row, ...fieldAndValue(change) };
      });
    },

    /** Removes changes that have been recorded. */
    async remove(changes: readonly ParkedChange[]): Promise<void> {
      if (changes.length === 0) return;
      await database.query(removeSql, [JSON.stringify(changes.map(keyOf))]);
    },

    async count(): Promise<number> {
      const [row] = await database.query<{ count: number }>(
        'select count(*) as count from parked_changes',
      );
      return row?.count ?? 0;
    },
  };
}

/** A text that is not what `park` has written is the value of no field, which nobody can read. */
function fieldAndValue(change: string): Pick<ParkedChange, 'field' | 'value'> {
  try {
    const [field, value]: unknown[] = JSON.parse(change);
    if (typeof field === 'string' && typeof value === 'string') return { field, value };
  } catch {
    // Said by the value.
  }
  return { field: '', value: change };
}

function keyOf({ drop, lane, entry, place }: ParkedChange) {
  return { drop, lane, entry, place };
}

/** The message without what a text column does not take. */
function textOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replaceAll('\0', '').toWellFormed().slice(0, errorCharactersMax).toWellFormed();
}

const parkSql = `
  insert into parked_changes as p (drop_id, lane, entry, place, at, change, error, parked_at, retry_at)
  select "drop", lane, entry, place, at, change, error, $2, $3
  from json_to_recordset($1::json) as r("drop" text, lane integer, entry text, place integer,
    at bigint, change text, error text)
  on conflict (drop_id, lane, entry, place) do update set error = excluded.error`;

const takeSql = `
  update parked_changes p set tries = tries + 1,
    retry_at = $1 + least(${retryMostMs}, ${retryFirstMs} * 2::float8 ^ least(tries, 10))::bigint
  from (select drop_id, lane, entry, place from parked_changes where retry_at <= $1
    order by retry_at limit $2 for update skip locked) due
  where (p.drop_id, p.lane, p.entry, p.place) = (due.drop_id, due.lane, due.entry, due.place)
  returning p.drop_id as "drop", p.lane, p.entry, p.place, p.at, p.change`;

const removeSql = `
  delete from parked_changes p
  using json_to_recordset($1::json) as r("drop" text, lane integer, entry text, place integer)
  where (p.drop_id, p.lane, p.entry, p.place) = (r."drop", r.lane, r.entry, r.place)`;
