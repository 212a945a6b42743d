import type { DropId, MerchantId } from './ids.ts';
import type { OrderField } from './order-details.ts';

export const dropStates = ['draft', 'scheduled', 'open', 'paused', 'ended', 'cancelled'] as const;
export type DropState = (typeof dropStates)[number];

/** What to do with a payment captured after its hold expired: take the units again, or refund. */
export type LateCapture = 'retake' | 'refund';

/** A merchant's own notes, for their own systems: never public. */
export type Metadata = Record<string, string>;

/** What a merchant tells of a drop or an item. None of it changes how it is sold. */
export type Description = {
  description?: string | undefined;
  /** An https address. */
  image?: string | undefined;
  /** An https address of the merchant's own page. */
  link?: string | undefined;
  metadata?: Metadata | undefined;
};

export type Item = Description & {
  sku: string;
  title: string;
  /** Price of one unit in the currency's minor unit. */
  unitAmount: number;
  /** Units offered when the drop was created; adjustments move it while selling. */
  allotment: number;
  /** Units one buyer may hold or own. */
  perBuyer: number;
};

/** The window in which appointments are made, milliseconds since the epoch: from ≤ now < until. */
export type AppointmentWindow = { from: number; until: number };

export type Drop = Description & {
  id: DropId;
  merchantId: MerchantId;
  title: string;
  currency: string;
  /** Milliseconds since the epoch; judged by Redis TIME. */
  startsAt: number;
  endsAt: number;
  /** How long a reserved order holds its units, ms. */
  holdMs: number;
  /**
   * How long it holds them until its buyer begins the payment, ms. Absent: as long as `holdMs`. An order
   * that the engine charges by itself does not wait for its buyer.
   */
  unpaidHoldMs?: number | undefined;
  /** Holds of one buyer that may end unpaid: after as many, no Buy of theirs is accepted. */
  lapsesMax?: number | undefined;
  lateCapture: LateCapture;
  /** An order above this amount is paid from the wallet with the payment password only. */
  passwordAbove?: number | undefined;
  /** Units of all items together that one buyer may hold or own; absent: only the items' limits. */
  perBuyer?: number | undefined;
  lanes: number;
  /** Grows by one with each change that is published to the lanes; 0 while a draft. */
  version: number;
  /** What the merchant decided. `scheduled` and `open` differ by the clock alone: see dropState. */
  decision: Decision;
  items: Item[];
  /** How it can be paid, as far as the engine offers it; by all that the engine offers when absent. */
  paymentMethods?: string[] | undefined;
  /** What a buyer gives with the Buy. */
  fields?: OrderField[] | undefined;
  /** Set when only buyers with an appointment may buy. */
  appointment?: AppointmentWindow | undefined;
};

/** What a merchant defines of a drop, as opposed to what the engine keeps of it. */
export type DropDefinition = Omit<Drop, 'id' | 'merchantId' | 'lanes' | 'version' | 'decision'>;

export const decisions = ['draft', 'live', 'paused', 'ended', 'cancelled'] as const;
export type Decision = (typeof decisions)[number];

export type DropAction = 'publish' | 'pause' | 'resume' | 'end' | 'cancel';

/** Whether the drop's merchant lets buyers pay for it by this method. */
export function allowsMethod(
  { paymentMethods }: Pick<Drop, 'paymentMethods'>,
  method: string,
): boolean {
  return paymentMethods === undefined || paymentMethods.includes(method);
}

const moves: Record<DropAction, { from: readonly Decision[]; to: Decision }> = {
  publish: { from: ['draft'], to: 'live' },
  pause: { from: ['live'], to: 'paused' },
  resume: { from: ['paused'], to: 'live' },
  end: { from: ['live', 'paused'], to: 'ended' },
  cancel: { from: ['draft', 'live', 'paused'], to: 'cancelled' },
};

/**
 * What an action makes of a drop: the decision to write, `already` when it holds (so repeating an
 * action is harmless), or `refused` when the drop's state does not allow it.
 */
export function decide(
  drop: Pick<Drop, 'decision' | 'startsAt' | 'endsAt'>,
  action: DropAction,
  now: number,
): { kind: 'move'; to: Decision } | { kind: 'already' } | { kind: 'refused' } {
  const move = moves[action];
  if (drop.decision === move.to) return { kind: 'already' };
  if (!move.from.includes(drop.decision)) return { kind: 'refused' };
  // Once the window is over a drop can be ended for good, and a draft thrown away; nothing else.
  const late = action !== 'end' && drop.decision !== 'draft';
  const over = now >= drop.endsAt && (late || action === 'publish');
  return over ? { kind: 'refused' } : { kind: 'move', to: move.to };
}

/** The state of a drop at an instant: its merchant's decision read against its window. */
export function dropState(
  drop: Pick<Drop, 'decision' | 'startsAt' | 'endsAt'>,
  now: number,
): DropState {
  if (drop.decision !== 'live' && drop.decision !== 'paused') return drop.decision;
  if (now >= drop.endsAt) return 'ended';
  if (drop.decision === 'paused') return 'paused';
  return now < drop.startsAt ? 'scheduled' : 'open';
}
