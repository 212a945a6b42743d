import type { Decision, LateCapture } from '../../src/domain/drop.ts';
import { type LaneRef, orderId } from '../../src/domain/ids.ts';
import type { Order, ReleaseReason } from '../../src/domain/order.ts';
import type {
  Adjustment,
  DropEdit,
  HoldDeferral,
  Published,
  Reservation,
} from '../../src/inventory/lanes.ts';
import type {
  Adjusted,
  Appointed,
  Confirmed,
  Deferred,
  Inspected,
  LimitScope,
  Refunded,
  Released,
  Reserved,
  Shortened,
  Unappointed,
} from '../../src/inventory/replies.ts';
import type { StockFigures } from '../../src/inventory/stock-figures.ts';

export type Rules = {
  version: number;
  phase: Decision;
  startsAt: number;
  endsAt: number;
  holdMs: number;
  /** '' for holdMs. */
  unpaidHoldMs: number | '';
  /** '' for no such rule. */
  lapsesMax: number | '';
  lateCapture: LateCapture;
  /** 1 when a Buy needs an appointment, else 0. */
  appointment: number;
  /** Units of all items together that one buyer may have; '' for no limit. */
  perBuyer: number | '';
  items: { unitAmount: number; perBuyer: number; allotment: number }[];
};

/**
 * A lane as it ought to be. It keeps orders and allotments only; what the scripts keep as counters
 * (available, held, sold, a buyer's units, the holds) is added up from the orders each time.
 */
export type Model = {
  ref: LaneRef;
  rules: Rules | undefined;
  allotments: number[];
  orders: Map<string, Order>;
  /** Digest → how long after its end a hold is kept from the sweep, ms. */
  graces: Map<string, number>;
  /** `<item>:<buyer>` → the digest of the order that last gave the buyer units. */
  lastTaker: Map<string, string>;
  edits: Map<string, { figures: StockFigures; request: string }>;
  /** Buyer → holds that ended unpaid. */
  lapses: Map<string, number>;
  /** Buyers who have an appointment. */
  appointed: Set<string>;
  /** What the outbox ought to hold: for each call that changed something, field → value. */
  outbox: Map<string, string>[];
};

export function newModel(ref: LaneRef): Model {
  return {
    ref,
    rules: undefined,
    allotments: [],
    orders: new Map(),
    graces: new Map(),
    lastTaker: new Map(),
    edits: new Map(),
    lapses: new Map(),
    appointed: new Set(),
    outbox: [],
  };
}

export const letters = { reserved: 'r', paid: 'p', released: 'x', refunded: 'f' } as const;

export function packed(order: Order): string {
  const { item, quantity, amount, expiresAt, extensionMs, isShortened, isExcused } = order;
  const { version, method, reason, buyer } = order;
  const plus = isShortened ? '>' : '+';
  const sign = extensionMs !== undefined && extensionMs >= 0 ? plus : '';
  const end = `${expiresAt}${sign}${extensionMs ?? ''}${isExcused ? '~' : ''}`;
  const parts = [item, quantity, amount, end, version, method, reason, buyer];
  return [letters[order.state], ...parts].join('|');
}

export function figuresOf(model: Model, item: number): StockFigures {
  const allotment = model.allotments[item] as number;
  const held = unitsOf(model, (order) => order.item === item && order.state === 'reserved');
  const sold = unitsOf(model, (order) => order.item === item && order.state === 'paid');
  return { available: allotment - held - sold, held, sold, allotment };
}

export function digestOf(order: Order): string {
  return order.id.slice(-22);
}

/** Reserved orders and when the sweep may take them, the earliest first; equal ones by digest. */
export function holdsOf(model: Model): { order: Order; digest: string; dueAt: number }[] {
  return [...model.orders.values()]
    .filter((order) => order.state === 'reserved')
    .map((order) => {
      const digest = digestOf(order);
      return { order, digest, dueAt: order.expiresAt + (model.graces.get(digest) ?? 0) };
    })
    .sort((a, b) => a.dueAt - b.dueAt || (a.digest < b.digest ? -1 : 1));
}

/** What each buyer holds or owns: `<item>:<buyer>` → units and the order that gave them last. */
export function buyersOf(model: Model): Map<string, { units: number; last: string }> {
  const buyers = new Map<string, { units: number; last: string }>();
  for (const order of model.orders.values()) {
    if (!keepsUnits(order)) continue;
    const field = `${order.item}:${order.buyer}`;
    const units = (buyers.get(field)?.units ?? 0) + order.quantity;
    const last = model.lastTaker.get(field) as string;
    const stands = keepsUnits(model.orders.get(last) as Order);
    buyers.set(field, { units, last: stands ? last : '' });
  }
  return buyers;
}

/** The refusal of a buyer who would have more than the item, or the whole drop, allows one buyer. */
function limitReached(
  model: Model,
  rules: Rules,
  { buyer, item, quantity }: Pick<Reservation, 'buyer' | 'item' | 'quantity'>,
): Reserved | undefined {
  const refuse = (scope: LimitScope, digest: string): Reserved => {
    const holder = digest ? orderId({ ...model.ref, digest }) : undefined;
    return { status: 'buyer_limit', scope, holder };
  };
  const owned = buyersOf(model).get(`${item}:${buyer}`) ?? { units: 0, last: '' };
  if (owned.units + quantity > (rules.items[item]?.perBuyer ?? 0)) {
    return refuse('item', owned.last);
  }
  const inDrop = unitsOfBuyer(model, buyer);
  const isOver = rules.perBuyer !== '' && inDrop.units + quantity > rules.perBuyer;
  return isOver ? refuse('drop', inDrop.last) : undefined;
}

/** What a buyer holds or owns of all items: units, and the last order of the last item that has one. */
function unitsOfBuyer(model: Model, buyer: string): { units: number; last: string } {
  const owned = buyersOf(model);
  let sum = { units: 0, last: '' };
  for (let item = 0; item < model.allotments.length; item += 1) {
    const { units, last } = owned.get(`${item}:${buyer}`) ?? { units: 0, last: '' };
    sum = { units: sum.units + units, last: last || sum.last };
  }
  return sum;
}

export function reserve(model: Model, reservations: Reservation[], now: number): Reserved[] {
  const { rules, ref } = model;
  if (!rules) return reservations.map(() => ({ status: 'missing' }));
  let dueAt = holdsOf(model)[0]?.dueAt ?? now + rules.holdMs;
  const changed: Order[] = [];
  const answers = reservations.map((reservation): Reserved => {
    const { digest, buyer, item, quantity, method } = reservation;
    const known = model.orders.get(digest);
    if (known) {
      const same = known.item === item && known.quantity === quantity && known.method === method;
      return same ? { status: 'replayed', order: { ...known } } : { status: 'reused' };
    }
    if (rules.phase === 'cancelled') return { status: 'cancelled' };
    if (rules.phase === 'ended' || now >= rules.endsAt) return { status: 'ended' };
    if (rules.phase === 'paused') return { status: 'paused' };
    if (now < rules.startsAt) return { status: 'not_open', startsAt: rules.startsAt };
    const rule = rules.items[item];
    if (!rule) return { status: 'unknown_item' };
    if (rules.appointment && !model.appointed.has(buyer)) return { status: 'no_appointment' };
    const lapses = model.lapses.get(buyer) ?? 0;
    if (rules.lapsesMax !== '' && lapses >= rules.lapsesMax) {
      return { status: 'lapse_limit', lapses };
    }
    const limit = limitReached(model, rules, { buyer, item, quantity });
    if (limit) return limit;
    const { available, held } = figuresOf(model, item);
    if (available + held < quantity) return { status: 'sold_out', available };
    if (available < quantity) return { status: 'all_held', available, dueAt };
    const order: Order = {
      id: orderId({ ...ref, digest }),
      drop: ref.drop,
      buyer,
      state: 'reserved',
      item,
      quantity,
      amount: rule.unitAmount * quantity,
      ...holdOf(rules, reservation, now),
      isShortened: false,
      isExcused: false,
      version: 1,
      method,
      reason: '',
    };
    dueAt = Math.min(dueAt, order.expiresAt);
    model.orders.set(digest, order);
    model.lastTaker.set(`${item}:${buyer}`, digest);
    changed.push(order);
    return { status: 'reserved', order: { ...order } };
  });
  record(model, changed, now);
  return answers;
}

/** The hold of a new order: shorter until its buyer begins to pay, where the buyer has to. */
function holdOf(
  rules: Rules,
  { awaitsBuyer }: Reservation,
  now: number,
): Pick<Order, 'expiresAt' | 'extensionMs'> {
  const { holdMs, unpaidHoldMs } = rules;
  if (!awaitsBuyer || unpaidHoldMs === '') {
    return { expiresAt: now + holdMs, extensionMs: undefined };
  }
  return { expiresAt: now + unpaidHoldMs, extensionMs: holdMs - unpaidHoldMs };
}

/** Counts a hold that ended unpaid, or with -1 forgets one that was paid after all. */
function addLapse(model: Model, buyer: string, by: 1 | -1): void {
  const lapses = (model.lapses.get(buyer) ?? 0) + by;
  if (lapses > 0) model.lapses.set(buyer, lapses);
  else model.lapses.delete(buyer);
}

/** Whether a released order counts against its buyer: not when it ended without their doing. */
function isLapse({ reason, extensionMs, isExcused }: Order): boolean {
  if (isExcused) return false;
  const isByTime = reason === 'expired' && extensionMs !== undefined;
  return isByTime || ['cancelled', 'declined', 'insufficient_funds'].includes(reason);
}

/** How long after its end a hold is released when the engine was away, ms. */
const lateMs = 5_000;

/** Releases an order and counts it against its buyer. */
function lapse(
  model: Model,
  order: Order,
  { reason, now, isExcused = false }: { reason: ReleaseReason; now: number; isExcused?: boolean },
): void {
  move(order, 'released', reason);
  if (isExcused || now > order.expiresAt + lateMs) order.isExcused = true;
  if (isLapse(order)) addLapse(model, order.buyer, 1);
}

/** Takes a lapse back, once: its buyer paid, but too late. */
function excuse(model: Model, order: Order): void {
  if (!isLapse(order)) return;
  addLapse(model, order.buyer, -1);
  order.isExcused = true;
}

export function confirm(model: Model, digests: string[], now: number): Confirmed[] {
  return moveEach(model, digests, now, (order) => {
    if (order.state === 'paid' || order.state === 'refunded') return 'already';
    if (order.state === 'reserved') {
      move(order, 'paid', '');
      return 'paid';
    }
    if (!canRetake(model, order)) {
      if (order.reason !== 'cancelled') excuse(model, order);
      return 'gone';
    }
    if (isLapse(order)) addLapse(model, order.buyer, -1);
    move(order, 'paid', '');
    model.lastTaker.set(`${order.item}:${order.buyer}`, digestOf(order));
    return 'retaken';
  });
}

export function release(
  model: Model,
  orders: { digest: string; reason: ReleaseReason }[],
  now: number,
): Released[] {
  const digests = orders.map((order) => order.digest);
  return moveEach(model, digests, now, (order, index) => {
    if (order.state === 'released') return 'already';
    if (order.state !== 'reserved') return 'refused';
    lapse(model, order, { reason: orders[index]?.reason ?? '', now });
    return 'released';
  });
}

export function refund(model: Model, digests: string[], now: number): Refunded[] {
  return moveEach(model, digests, now, (order) => {
    if (order.state === 'refunded') return 'already';
    if (order.state !== 'paid') return 'refused';
    move(order, 'refunded', '');
    return 'refunded';
  });
}

/** Refunds orders whose units leave the allotment. */
export function writeOff(model: Model, digests: string[], now: number): Refunded[] {
  const before = new Set(digests.filter((digest) => model.orders.get(digest)?.state === 'paid'));
  const answers = refund(model, digests, now);
  const entry = model.outbox.at(-1);
  if (before.size === 0 || !entry) return answers;
  for (const digest of before) {
    const order = model.orders.get(digest);
    if (!order) continue;
    model.allotments[order.item] = (model.allotments[order.item] ?? 0) - order.quantity;
    entry.set(
      `adjust:refund_${digest}`,
      `${order.item}|-${order.quantity}|refunded, not restocked`,
    );
  }
  return answers;
}

export function defer(model: Model, orders: HoldDeferral[], now: number): Deferred[] {
  const digests = orders.map((order) => order.digest);
  return moveEach(model, digests, now, (order, index) => {
    const { to = 0 } = orders[index] ?? {};
    if (order.state !== 'reserved') {
      const isSwept = order.state === 'released' && order.reason === 'expired';
      if (isSwept && to === 'failed') excuse(model, order);
      return 'refused';
    }
    if (typeof to === 'string') {
      order.isExcused = to === 'failed';
      return 'deferred';
    }
    if (to > 0) extend(order);
    model.graces.set(digestOf(order), to);
    return 'deferred';
  });
}

/** Beginning to pay extends the hold, once. */
function extend(order: Order): void {
  const { extensionMs = 0 } = order;
  if (extensionMs <= 0) return;
  order.expiresAt += extensionMs;
  order.extensionMs = order.isShortened ? 0 : -extensionMs;
  order.isShortened = false;
  order.version += 1;
}

export function shorten(model: Model, digests: string[], now: number): Shortened[] {
  const unpaidHoldMs = model.rules?.unpaidHoldMs ?? '';
  return moveEach(model, digests, now, (order) => {
    if (order.state !== 'reserved' || unpaidHoldMs === '') return 'refused';
    const isBegun = (model.graces.get(digestOf(order)) ?? 0) > 0;
    if (order.extensionMs !== undefined || isBegun) return 'already';
    const last = order.expiresAt;
    order.expiresAt = Math.min(last, now + unpaidHoldMs);
    order.extensionMs = last - order.expiresAt;
    order.isShortened = true;
    if (order.expiresAt - now < unpaidHoldMs / 2) order.isExcused = true;
    order.version += 1;
    return 'shortened';
  });
}

export function sweep(
  model: Model,
  { limit, isAway }: { limit: number; isAway: boolean },
  now: number,
): { released: number; now: number; dueAt: number | undefined } {
  const cancelled = model.rules?.phase === 'cancelled';
  const due = holdsOf(model)
    .filter(({ dueAt }) => cancelled || dueAt <= now)
    .slice(0, limit);
  for (const { order } of due) {
    const reason = cancelled ? 'drop_cancelled' : 'expired';
    lapse(model, order, { reason, now, isExcused: isAway });
  }
  record(
    model,
    due.map(({ order }) => order),
    now,
  );
  return { released: due.length, now, dueAt: holdsOf(model)[0]?.dueAt };
}

export function adjust(
  model: Model,
  { id, item, delta, reason }: Adjustment,
  options: { now: number; allotmentMax: number },
): Adjusted {
  if (!model.rules) return { status: 'missing' };
  const request = `${item}|${delta}|${reason}`;
  const before = model.edits.get(id);
  if (before && before.request !== request) return { status: 'reused' };
  if (before) return { status: 'already', figures: before.figures };
  const { phase } = model.rules;
  if (phase === 'ended' || phase === 'cancelled') return { status: 'closed' };
  if (!model.rules.items[item]) return { status: 'unknown_item' };
  const { available, allotment } = figuresOf(model, item);
  if (available + delta < 0) return { status: 'below', available };
  if (allotment + delta > options.allotmentMax) return { status: 'over', allotment };
  model.allotments[item] = allotment + delta;
  const figures = figuresOf(model, item);
  model.edits.set(id, { figures, request });
  model.outbox.push(
    new Map([
      ['at', String(options.now)],
      [`adjust:${id}`, request],
    ]),
  );
  return { status: 'adjusted', figures };
}

export function appoint(model: Model, buyers: string[]): Appointed[] {
  if (!model.rules) return buyers.map(() => 'missing');
  return buyers.map((buyer) => {
    if (model.appointed.has(buyer)) return 'already';
    model.appointed.add(buyer);
    return 'appointed';
  });
}

export function unappoint(model: Model, buyers: string[]): Unappointed[] {
  if (!model.rules) return buyers.map(() => 'missing');
  return buyers.map((buyer) => (model.appointed.delete(buyer) ? 'removed' : 'none'));
}

export function inspect(model: Model, at: { now: number; lastEvent: string }): Inspected {
  const { now, lastEvent } = at;
  if (!model.rules) return { status: 'missing', now };
  const holds = holdsOf(model);
  return {
    status: 'done',
    now,
    version: model.rules.version,
    phase: model.rules.phase,
    orders: model.orders.size,
    holds: holds.length,
    dueAt: holds[0]?.dueAt,
    backlog: model.outbox.length,
    lastEvent,
    appointments: model.appointed.size,
    items: model.allotments.map((_, item) => figuresOf(model, item)),
  };
}

export function publish(
  model: Model,
  rules: Rules,
  { first, edit, now }: { first: boolean; edit: DropEdit | undefined; now: number },
): Published {
  if (model.rules && model.rules.version >= rules.version) return 'already';
  if (!model.rules && !first) return 'lost';
  const hasOpened = model.rules && (now >= model.rules.startsAt || model.orders.size > 0);
  const isTaken = model.rules && edit && model.rules.version >= edit.version;
  const changes = isTaken ? undefined : edit?.changes;
  if (hasOpened && changes) return 'open';
  if (model.rules && changes === 'stock' && model.edits.size > 0) return 'adjusted';
  if (!model.rules || changes === 'stock')
    model.allotments = rules.items.map((item) => item.allotment);
  model.rules = rules;
  return 'published';
}

function keepsUnits(order: Order): boolean {
  return order.state === 'reserved' || order.state === 'paid';
}

function unitsOf(model: Model, counts: (order: Order) => boolean): number {
  let units = 0;
  for (const order of model.orders.values()) if (counts(order)) units += order.quantity;
  return units;
}

function canRetake(model: Model, order: Order): boolean {
  const { rules } = model;
  if (!rules || order.reason !== 'expired' || rules.lateCapture !== 'retake') return false;
  if (rules.phase === 'cancelled') return false;
  if (figuresOf(model, order.item).available < order.quantity) return false;
  const owned = buyersOf(model).get(`${order.item}:${order.buyer}`)?.units ?? 0;
  if (owned + order.quantity > (rules.items[order.item]?.perBuyer ?? 0)) return false;
  const inDrop = unitsOfBuyer(model, order.buyer).units;
  return rules.perBuyer === '' || inDrop + order.quantity <= rules.perBuyer;
}

function move(order: Order, state: Order['state'], reason: ReleaseReason): void {
  order.state = state;
  order.reason = reason;
  order.version += 1;
}

function moveEach<Status extends string>(
  model: Model,
  digests: string[],
  now: number,
  judge: (order: Order, index: number) => Status,
): ({ status: Status; order: Order } | { status: 'unknown' })[] {
  const changed = new Set<Order>();
  const answers = digests.map((digest, index) => {
    const order = model.orders.get(digest);
    if (!order) return { status: 'unknown' as const };
    const { version } = order;
    const status = judge(order, index);
    if (order.version !== version) changed.add(order);
    return { status, order: { ...order } };
  });
  record(model, [...changed], now);
  return answers;
}

function record(model: Model, changed: Order[], now: number): void {
  if (changed.length === 0) return;
  const entry = new Map([['at', String(now)]]);
  for (const order of changed) entry.set(digestOf(order), packed(order));
  model.outbox.push(entry);
}
