import type { Clock } from '../domain/clock.ts';
import type { AppointmentWindow, Drop, DropDefinition } from '../domain/drop.ts';
import { type MerchantId, newDropId } from '../domain/ids.ts';
import type { Drops, StoredDrop } from '../ledger/drops.ts';

/** What a merchant says of a new drop. Times are in ms since the epoch. */
export type DraftRequest = Omit<DropDefinition, 'appointment'> & {
  merchantId: MerchantId;
  appointment?: Partial<AppointmentWindow> | undefined;
};

export type CreateDraft = (request: DraftRequest) => Promise<StoredDrop>;

/** Creates drops as drafts, which only their merchant sees until they are published. */
export function openDrafts(options: { drops: Pick<Drops, 'create'>; clock: Clock }): CreateDraft {
  const { drops, clock } = options;

  return async function createDraft(request) {
    const drop: Drop = {
      ...request,
      id: newDropId(),
      appointment: appointmentWindow(request, clock.now()),
      lanes: 1,
      version: 0,
      decision: 'draft',
    };
    return await drops.create(drop);
  };
}

/**
 * The window in which appointments for a new drop are made: from now until the drop opens, unless
 * the merchant gives other times. Undefined when the drop needs no appointment.
 */
export function appointmentWindow(
  request: Pick<DraftRequest, 'startsAt' | 'appointment'>,
  now: number,
): AppointmentWindow | undefined {
  if (!request.appointment) return undefined;
  const { from = now, until = request.startsAt } = request.appointment;
  return { from, until };
}

const dayMs = 86_400_000;

/**
 * A definition whose window has not begun: moved by whole days, so that it keeps its time of the day. An
 * appointment window that is over then, too, becomes one from now to the opening.
 */
export function movedToFuture(definition: DropDefinition, now: number): DropDefinition {
  const { startsAt, endsAt, appointment } = definition;
  const days = startsAt > now ? 0 : Math.floor((now - startsAt) / dayMs) + 1;
  const byMs = days * dayMs;
  const moved = { ...definition, startsAt: startsAt + byMs, endsAt: endsAt + byMs };
  if (!appointment) return moved;
  const { from, until } = { from: appointment.from + byMs, until: appointment.until + byMs };
  const window = until > now ? { from, until } : { from: now, until: moved.startsAt };
  return { ...moved, appointment: window };
}
