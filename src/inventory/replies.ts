import { type LaneRef, type OrderId, orderId } from '../domain/ids.ts';
import { type Order, type OrderState, releaseReasons } from '../domain/order.ts';
import { parseWhole, parseWord, readReply } from './reply-reader.ts';
import { type StockFigures, stockFigureNames } from './stock-figures.ts';

export const limitScopes = ['item', 'drop'] as const;
export type LimitScope = (typeof limitScopes)[number];

/** What reserve answers for one order. All of these are expected outcomes; none is an error. */
export type Reserved =
  | { status: 'reserved' | 'replayed'; order: Order }
  | { status: 'reused' | 'paused' | 'ended' | 'cancelled' | 'unknown_item' | 'missing' }
  /** As many holds of the buyer have ended unpaid as the drop allows, or more. */
  | { status: 'lapse_limit'; lapses: number }
  /** The drop needs an appointment and the buyer has none. */
  | { status: 'no_appointment' }
  /** `available` units are free, fewer than asked for, and no held unit can come back. Final. */
  | { status: 'sold_out'; available: number }
  /** Held units may come back; dueAt is when the earliest hold ends (ms since the epoch). */
  | { status: 'all_held'; available: number; dueAt: number }
  /**
   * The limit of the item, or the one over all items of the drop, is reached. `holder` is the id of an
   * order that keeps the buyer's units, if there is one.
   */
  | { status: 'buyer_limit'; scope: LimitScope; holder: OrderId | undefined }
  | { status: 'not_open'; startsAt: number };

/** What appoint answers for one buyer; `missing` when the lane holds no rules. */
export type Appointed = 'appointed' | 'already' | 'missing';

/** What unappoint answers for one buyer; `missing` when the lane holds no rules. */
export type Unappointed = 'removed' | 'none' | 'missing';

/** What confirm, release, refund and defer answer for one order. */
export type Moved<Status extends string> = { status: Status; order: Order } | { status: 'unknown' };
export type Confirmed = Moved<'paid' | 'retaken' | 'already' | 'gone'>;
export type Released = Moved<'released' | 'already' | 'refused'>;
export type Refunded = Moved<'refunded' | 'already' | 'refused'>;
export type Deferred = Moved<'deferred' | 'refused'>;
export type Shortened = Moved<'shortened' | 'already' | 'refused'>;

export type Adjusted =
  | { status: 'adjusted' | 'already'; figures: StockFigures }
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
      /** When the earliest hold ends, ms since the epoch. */
      dueAt: number | undefined;
      /** Entries of the outbox that are not relayed yet. */
      backlog: number;
      /** The id of the last entry ever added to the outbox; `0-0` when there was none. */
      lastEvent: string;
      appointments: number;
      /** By the item's position in the drop. */
      items: StockFigures[];
    };

const states: Record<string, OrderState> = {
  r: 'reserved',
  p: 'paid',
  x: 'released',
  f: 'refunded',
};

/**
 * Unpacks an order's record as lua/lib/record.lua packs it.
 * @throws Error `bug: …` when the text is no record
 */
export function parseRecord(ref: LaneRef, digest: string, record: string): Order {
  const [letter = '', item, quantity, amount, end = '', version, method, reason, ...rest] =
    record.split('|');
  const state = states[letter];
  if (!state || method === undefined || reason === undefined || rest.length === 0) {
    throw new Error(`bug: no order record: ${record}`);
  }
  const isExcused = end.endsWith('~');
  const hold = isExcused ? end.slice(0, -1) : end;
  const sign = hold.search(/[+>-]/);
  const isShortened = hold[sign] === '>';
  return {
    id: orderId({ ...ref, digest }),
    drop: ref.drop,
    // The buyer comes last because it alone may contain a bar.
    buyer: rest.join('|'),
    state,
    item: parseWhole(item, 'a record'),
    quantity: parseWhole(quantity, 'a record'),
    amount: parseWhole(amount, 'a record'),
    expiresAt: parseWhole(sign < 0 ? hold : hold.slice(0, sign), 'a record'),
    extensionMs:
      sign < 0 ? undefined : parseWhole(hold.slice(sign + Number(isShortened)), 'a record'),
    isShortened,
    isExcused,
    version: parseWhole(version, 'a record'),
    ...parseMethod(method),
    reason: parseWord(releaseReasons, reason, 'a record'),
  };
}

/**
 * The same, undefined for a text that is no record. Such an order counts as missing in its lane, which
 * audit and redrive report, and the others of its batch are read.
 */
export function readRecord(ref: LaneRef, digest: string, record: string): Order | undefined {
  try {
    return parseRecord(ref, digest, record);
  } catch {
    return undefined;
  }
}

/** The method as a record has it: followed by the fingerprint of the order's details, if it has any. */
export function methodField(method: string, fingerprint: string | undefined): string {
  return fingerprint === undefined ? method : `${method};${fingerprint}`;
}

function parseMethod(field: string): Pick<Order, 'method' | 'fingerprint'> {
  const end = field.indexOf(';');
  if (end < 0) return { method: field };
  return { method: field.slice(0, end), fingerprint: field.slice(end + 1) };
}

/** Splits a result at its first bar into the status word and the rest, '' when there is none. */
function split(result: string): [status: string, rest: string] {
  const bar = result.indexOf('|');
  return bar < 0 ? [result, ''] : [result.slice(0, bar), result.slice(bar + 1)];
}

/** @throws Error `bug: …` when the result is none that reserve gives */
export function parseReserved(ref: LaneRef, digest: string, result: string): Reserved {
  const [status, rest] = split(result);
  switch (status) {
    case 'reserved':
    case 'replayed':
      return { status, order: parseRecord(ref, digest, rest) };
    case 'lapse_limit':
      return { status, lapses: parseWhole(rest, status) };
    case 'sold_out':
      return { status, available: parseWhole(rest, status) };
    case 'all_held': {
      const [available, dueAt] = rest.split('|');
      return { status, available: parseWhole(available, status), dueAt: parseWhole(dueAt, status) };
    }
    case 'buyer_limit': {
      const [scope, holder] = split(rest);
      return {
        status,
        scope: parseWord(limitScopes, scope, status),
        holder: holder ? orderId({ ...ref, digest: holder }) : undefined,
      };
    }
    case 'not_open':
      return { status, startsAt: parseWhole(rest, status) };
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

/**
 * The result of confirm, release or refund for one order; `words` are the script's own.
 * @throws Error `bug: …` when the result is none of them
 */
export function parseMoved<Status extends string>(
  words: readonly (Status | 'unknown')[],
  place: { ref: LaneRef; digest: string },
  result: string,
): Moved<Status> {
  const [word, rest] = split(result);
  const status = parseWord(words, word, 'a result');
  if (status !== 'unknown') return { status, order: parseRecord(place.ref, place.digest, rest) };
  return { status: 'unknown' };
}

function parseFigures(text: string): StockFigures {
  const [available, held, sold, allotment] = text.split('|');
  return {
    available: parseWhole(available, 'adjust'),
    held: parseWhole(held, 'adjust'),
    sold: parseWhole(sold, 'adjust'),
    allotment: parseWhole(allotment, 'adjust'),
  };
}

/** @throws Error `bug: …` when the reply is none that adjust gives */
export function parseAdjusted(reply: unknown): Adjusted {
  const parts = readReply('adjust', reply);
  const status = parts.text(0);
  switch (status) {
    case 'adjusted':
    case 'already':
      return { status, figures: parseFigures(parts.text(1)) };
    case 'below':
      return { status, available: parts.whole(1) };
    case 'over':
      return { status, allotment: parts.whole(1) };
    case 'reused':
    case 'unknown_item':
    case 'closed':
    case 'missing':
      return { status };
    default:
      throw new Error(`bug: adjust answered ${status}`);
  }
}

/** @throws Error `bug: …` when the reply is none that inspect gives */
export function parseInspected(reply: unknown): Inspected {
  const parts = readReply('inspect', reply);
  const now = parts.whole(1);
  const status = parts.text(0);
  if (status === 'missing') return { status, now };
  if (status !== 'done') throw new Error(`bug: inspect answered ${status}`);
  const items: StockFigures[] = [];
  for (let at = 10; at < parts.length; at += 2) {
    const [field = '', index] = parts.text(at).split(':');
    const name = parseWord(stockFigureNames, field, 'the stock of a lane');
    const item = parseWhole(index, 'the stock of a lane');
    const figures = items[item] ?? { available: 0, held: 0, sold: 0, allotment: 0 };
    figures[name] = parts.whole(at + 1);
    items[item] = figures;
  }
  return {
    status,
    now,
    version: parts.whole(2),
    phase: parts.text(3),
    orders: parts.whole(4),
    holds: parts.whole(5),
    dueAt: parts.wholeOrNone(6),
    backlog: parts.whole(7),
    lastEvent: parts.text(8),
    appointments: parts.whole(9),
    items,
  };
}
