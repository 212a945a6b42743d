import { type Clock, systemClock } from '../../domain/clock.ts';
import type { OrderId } from '../../domain/ids.ts';
import type { Database } from '../database/database.ts';

/** How far a comparison came: it goes on behind it the next time. Undefined: from the beginning. */
export type Place<Id extends string = string> = { at: number; id: Id };
export type Places = {
  payments?: Place | undefined;
  orders?: Place<OrderId> | undefined;
  /** Of the wallet's own book. */
  charges?: Place | undefined;
};

export type Reconciliations = ReturnType<typeof openReconciliations>;

/** Whose turn it is to compare the books, and what came of it the last time. */
export function openReconciliations(database: Database, clock: Clock = systemClock) {
  /**
   * Gives the turn to one of those who ask, when `everyMs` have passed since the last one began and
   * nobody holds it. Who holds it and does not renew it in time has died.
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

  /** False when the turn has gone to somebody else meanwhile. */
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

  /** Keeps a report; an older one than is there changes nothing. */
  async function keep(done: { endedAt: number; report: unknown; places: Places }): Promise<void> {
    await database.query(
      `update reconciliations set ended_at = $1, report = $2, places = $3
       where ended_at is null or ended_at <= $1`,
      [done.endedAt, JSON.stringify(done.report), JSON.stringify(done.places)],
    );
  }

  /** What was kept last; the report as it was given to `keep`. */
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
    return {
      endedAt: row?.endedAt ?? undefined,
      report: row?.report ? JSON.parse(row.report) : undefined,
      places: row?.places ? (JSON.parse(row.places) as Places) : {},
    };
  }

  return { take, renew, release, keep, last };
}
