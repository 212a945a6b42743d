import type { Clock } from '../domain/clock.ts';
import type { AppointmentWindow, Description, Drop } from '../domain/drop.ts';
import { newDropId } from '../domain/ids.ts';
import type { Drops } from '../ledger/drops.ts';

/** What a merchant says of a new drop. Times are in ms since the epoch. */
export type DraftRequest = Pick<
  Drop,
  | 'merchantId'
  | 'title'
  | 'currency'
  | 'startsAt'
  | 'endsAt'
  | 'holdMs'
  | 'lateCapture'
  | 'passwordAbove'
  | 'items'
  | 'paymentMethods'
  | keyof Description
> & { appointment?: Partial<AppointmentWindow> | undefined };

export type CreateDraft = (request: DraftRequest) => Promise<Drop>;

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
    await drops.create(drop);
    return drop;
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
