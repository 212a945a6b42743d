import { type Clock, systemClock } from '../../domain/clock.ts';
import type { OrderId } from '../../domain/ids.ts';
import type { Database } from '../database/database.ts';

/** Where a reconciliation stopped and the next one goes on. */
export type Place<Id extends string = string> = { at: number; id: Id };
export type Places = {
  payments?: Place | undefined;
  orders?: Place<OrderId> | undefined;
  /** In the wallet's own book. */
  charges?: Place | undefined;
  /** Of the payments that are not over, by reference. */
  unfinished?: string | undefined;
};

export type Reconciliations = ReturnType<typeof openReconciliations>;

/** A stored JSON text; undefined when it is none, as if nothing had been stored. */
function parsed<T>(text: string): T | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The lock that lets one process reconcile at a time, and the report of the last run. */
export function openReconciliations(database: Database, clock: Clock = systemClock) {
  /**
   * Takes the lock for `forMs`, when nobody holds it and `everyMs` have passed since the last
   * reconciliation began. A holder that does not renew it in time has died, and the lock is free.
   * @returns whether `holder` has the lock now
   */
  async function take(asked: { holder: string; everyMs: number; forMs: number }): Promise<boolean> {
    const now = clock.now();
    const taken = await database.query(
      `update reconciliations set held_by = $1, held_until = $2, began_at = $3
       where held_until <= $3 and began_at <= $4 returning only_row`,
      [asked.holder, now + asked.forMs, now, now - asked.everyMs],
    );
    return taken.length > 0;
  }

  /** Extends the lock; false when another process has taken it. */
  async function renew({ holder, forMs }: { holder: string; forMs: number }): Promise<boolean> {
    const renewed = await database.query(
      'update reconciliations set held_until = $2 where held_by = $1 returning only_row',
      [holder, clock.now() + forMs],
    );
    return renewed.length > 0;
  }

  async function release(holder: string): Promise<void> {
    await database.query(
      'update reconciliations set held_by = null, held_until = 0 where held_by = $1',
      [holder],
    );
  }

  /** Stores a report; one older than the stored one changes nothing. */
  async function keep(done: { endedAt: number; report: unknown; places: Places }): Promise<void> {
    await database.query(
      `update reconciliations set ended_at = $1, report = $2, places = $3
       where ended_at is null or ended_at <= $1`,
      [done.endedAt, JSON.stringify(done.report), JSON.stringify(done.places)],
    );
  }

  /** The report stored last, as it was given to `keep`. */
  async function last(): Promise<{
    endedAt: number | undefined;
    report: unknown;
    places: Places;
  }> {
    const [row] = await database.query<{
      endedAt: number | null;
      report: string | null;
      places: string | null;
    }>('select ended_at as "endedAt", report, places from reconciliations');
    const places: Places = row?.places ? (parsed<Places>(row.places) ?? {}) : {};
    return {
      endedAt: row?.endedAt ?? undefined,
      report: row?.report ? parsed(row.report) : undefined,
      places,
    };
  }

  return { take, renew, release, keep, last };
}
