import { type AppointmentWindow, type Drop, type DropState, dropState } from '../domain/drop.ts';

/** Whether buyers can make appointments for a drop. */
export type AppointmentOpening =
  /** The drop needs no appointment. */
  | { kind: 'not_offered' }
  | { kind: 'open' }
  | { kind: 'not_open'; window: AppointmentWindow; opensInMs: number }
  /** The window has ended, or the drop is over. */
  | { kind: 'closed'; window: AppointmentWindow };

/** Judges by Redis' clock: `now` in ms since the epoch, and the drop's state at that time. */
export function appointmentOpening(
  { appointment: window }: Pick<Drop, 'appointment'>,
  { now, state }: { now: number; state: DropState },
): AppointmentOpening {
  if (!window) return { kind: 'not_offered' };
  if (now >= window.until || isOver(state)) return { kind: 'closed', window };
  if (now < window.from) return { kind: 'not_open', window, opensInMs: window.from - now };
  return { kind: 'open' };
}

/** Whether a merchant can import appointments for a drop, in its window or not. */
export type ImportOpening =
  | { kind: 'open' }
  /** The drop needs no appointment. */
  | { kind: 'not_offered' }
  | { kind: 'refused'; state: DropState };

/** `now` is in ms since the epoch. */
export function importOpening(
  drop: Pick<Drop, 'appointment' | 'decision' | 'startsAt' | 'endsAt'>,
  now: number,
): ImportOpening {
  if (!drop.appointment) return { kind: 'not_offered' };
  const state = dropState(drop, now);
  // A draft has no lanes yet; a drop that is over needs no appointments.
  return state === 'draft' || isOver(state) ? { kind: 'refused', state } : { kind: 'open' };
}

/** A drop that is over never sells again. */
export function isOver(state: DropState): boolean {
  return state === 'ended' || state === 'cancelled';
}
