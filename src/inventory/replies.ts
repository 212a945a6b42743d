import { type LaneRef, orderId } from '../domain/ids.ts';
import type { Order, OrderState, ReleaseReason } from '../domain/order.ts';

/** What reserve answers for one order. Expected outcomes all, none of them an error. */
export type Reserved =
  | { status: 'reserved' | 'replayed'; order: Order }
  | { status: 'reused' | 'paused' | 'ended' | 'cancelled' | 'unknown_item' | 'missing' }
  /** The drop needs an appointment and the buyer has none. Final, until there is one. */
  | { status: 'no_appointment' }
  /** Units still free, fewer than were asked for; nothing held can come back. Final. */
  | { status: 'sold_out'; available: number }
  /** Held units may come back; dueAt is when the earliest hold ends (ms since the epoch). */
  | { status: 'all_held'; available: number; dueAt: number }
  /** `holder` is the order that took the buyer to the limit, when one did. */
  | { status: 'buyer_limit'; holder: string | undefined }
  | { status: 'not_open'; startsAt: number };

/** What appoint answers for one buyer; `missing` when the lane holds no rules. */
export type Appointed = 'appointed' | 'already' | 'missing';

/** What confirm, release, refund and defer answer for one order. */
export type Moved<Status extends string> = { status: Status; order: Order } | { status: 'unknown' };
export type Confirmed = Moved<'paid' | 'retaken' | 'already' | 'gone'>;
export type Released = Moved<'released' | 'already' | 'refused'>;
export type Refunded = Moved<'refunded' | 'already' | 'refused'>;
export type Deferred = Moved<'deferred' | 'over'>;

export type Figures = { available: number; held: number; sold: number; allotment: number };

export type Adjusted =
  | { status: 'adjusted' | 'already'; figures: Figures }
  | { status: 'below'; available: number }
  | { status: 'over'; allotment: number }
  | { status: 'reused' | 'unknown_item' | 'closed' | 'missing' };

export type Inspected =
  | { status: 'missing'; now: number }
  | {
      status: 'done';
      now: number;
      version: number;
      phase: string;
      orders: number;
      holds: number;
      dueAt: number | undefined;
      backlog: number;
      lastEvent: string;
      appointments: number;
      /** By the item's position in the drop. */
      items: Figures[];
    };

const states: Record<string, OrderState> = {
  r: 'reserved',
  p: 'paid',
  x: 'released',
  f: 'refunded',
};

/** Unpacks a record as lua/lib/record.lua packs it: the order a digest stands for in its lane. */
export function parseRecord(ref: LaneRef, digest: string, record: string): Order {
  const parts = record.split('|');
  const state = states[parts[0] as string];
  if (!state || parts.length < 9) throw new Error(`bug: no order record: ${record}`);
  return {
    id: orderId({ ...ref, digest }),
    drop: ref.drop,
    buyer: parts.length === 9 ? (parts[8] as string) : parts.slice(8).join('|'),
    state,
    item: Number(parts[1]),
    quantity: Number(parts[2]),
    amount: Number(parts[3]),
    expiresAt: Number(parts[4]),
    version: Number(parts[5]),
    method: parts[6] as string,
    reason: parts[7] as ReleaseReason,
  };
}

/** `status` and what stands behind the first bar, '' when nothing does. */
function split(result: string): [status: string, rest: string] {
  const bar = result.indexOf('|');
  return bar < 0 ? [result, ''] : [result.slice(0, bar), result.slice(bar + 1)];
}

export function parseReserved(ref: LaneRef, digest: string, result: string): Reserved {
  const [status, rest] = split(result);
  switch (status) {
    case 'reserved':
    case 'replayed':
      return { status, order: parseRecord(ref, digest, rest) };
    case 'sold_out':
      return { status, available: Number(rest) };
    case 'all_held': {
      const [available, dueAt] = rest.split('|');
      return { status, available: Number(available), dueAt: Number(dueAt) };
    }
    case 'buyer_limit':
      return { status, holder: rest ? orderId({ ...ref, digest: rest }) : undefined };
    case 'not_open':
      return { status, startsAt: Number(rest) };
    case 'reused':
    case 'paused':
    case 'ended':
    case 'cancelled':
    case 'unknown_item':
    case 'no_appointment':
      return { status };
    default:
      throw new Error(`bug: reserve answered ${result}`);
  }
}

export function parseMoved<Status extends string>(
  ref: LaneRef,
  digest: string,
  result: string,
): Moved<Status> {
  const [status, rest] = split(result);
  if (status === 'unknown') return { status };
  return { status: status as Status, order: parseRecord(ref, digest, rest) };
}

function parseFigures(text: string): Figures {
  const [available, held, sold, allotment] = text.split('|').map(Number) as [
    number,
    number,
    number,
    number,
  ];
  return { available, held, sold, allotment };
}

export function parseAdjusted(reply: string[]): Adjusted {
  const [status, rest = ''] = reply;
  switch (status) {
    case 'adjusted':
    case 'already':
      return { status, figures: parseFigures(rest) };
    case 'below':
      return { status, available: Number(rest) };
    case 'over':
      return { status, allotment: Number(rest) };
    case 'reused':
    case 'unknown_item':
    case 'closed':
    case 'missing':
      return { status };
    default:
      throw new Error(`bug: adjust answered ${reply}`);
  }
}

export function parseInspected(reply: (string | number)[]): Inspected {
  if (reply[0] === 'missing') return { status: 'missing', now: Number(reply[1]) };
  const items: Figures[] = [];
  for (let at = 10; at < reply.length; at += 2) {
    const [name, index] = (reply[at] as string).split(':') as [keyof Figures, string];
    items[Number(index)] ??= { available: 0, held: 0, sold: 0, allotment: 0 };
    (items[Number(index)] as Figures)[name] = Number(reply[at + 1]);
  }
  return {
    status: 'done',
    now: Number(reply[1]),
    version: Number(reply[2]),
    phase: reply[3] as string,
    orders: Number(reply[4]),
    holds: Number(reply[5]),
    dueAt: reply[6] === '' ? undefined : Number(reply[6]),
    backlog: Number(reply[7]),
    lastEvent: reply[8] as string,
    appointments: Number(reply[9]),
    items,
  };
}
