import { type Batcher, openBatcher, QueueFull } from '../batching/batcher.ts';
import type { Drop } from '../domain/drop.ts';
import { type DropId, type LaneRef, type OrderId, orderId, orderRef } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { Catalog, DropView } from './catalog.ts';
import type { Lanes, Reservation } from './lanes.ts';
import type { Reserved } from './replies.ts';

/** What a buyer asks for. The same drop, buyer and key always stand for the same order. */
export type Buy = {
  drop: DropId;
  buyer: string;
  key: string;
  sku: string;
  quantity: number;
  method: string;
};

export type Bought =
  | { status: 'reserved' | 'replayed'; order: Order; drop: Drop }
  | { status: 'sold_out'; available: number }
  | { status: 'all_held'; available: number; retryAfterMs: number }
  | { status: 'buyer_limit'; holder: string | undefined }
  | { status: 'not_open'; startsAt: number; retryAfterMs: number }
  /** The buyer has no appointment; the drop's window for making one ends at `until`. */
  | { status: 'no_appointment'; until: number }
  | { status: 'paused' | 'ended' | 'cancelled' | 'unknown_drop' | 'unknown_item' | 'reused' }
  /** Nobody takes money of this currency by this method here. */
  | { status: 'not_offered' }
  /** The drop's lane has lost its data: nothing is sold before it is rebuilt. */
  | { status: 'frozen'; retryAfterMs: number }
  /** Not taken on: nothing was reserved. */
  | { status: 'overloaded'; retryAfterMs: number }
  /** Sent, no answer: `order` names what to look up, and the same key later tells the truth. */
  | { status: 'outcome_unknown'; order: OrderId; retryAfterMs: number };

export type SoldOut = Extract<Bought, { status: 'sold_out' }>;

export type Intake = {
  /** Decides one Buy. Trouble with Redis is an answer, not a rejection. */
  buy(request: Buy): Promise<Bought>;
  /**
   * The answer to a key of a drop that is sold out as a whole, whatever the body asks for: undefined
   * when the drop is not, or when the key has an order, which only the whole request can be given.
   */
  refuseSoldOut(
    request: Pick<Buy, 'drop' | 'buyer' | 'key'>,
  ): Promise<SoldOut | undefined> | undefined;
  /** Orders waiting for a flight. */
  waiting(): number;
};

export type IntakeLimits = {
  batchMax: number;
  inFlightMax: number;
  queueMax: number;
  waitMsMax?: number;
};

export type IntakeOptions = {
  lanes: Lanes;
  catalog: Catalog;
  /** Whether a method of payment is offered in a currency; every one when absent. */
  takes?(method: string, currency: string): boolean;
  /**
   * Bounds for each lane. What stands beyond queueMax is shed, and what comes while the oldest Buy
   * has waited for longer than waitMsMax.
   */
  limits?: IntakeLimits;
};

export const intakeLimits: IntakeLimits = {
  batchMax: 128,
  inFlightMax: 2,
  queueMax: 4_096,
  waitMsMax: 150,
};

/** Redis refused the script before it ran, so nothing was reserved. */
const refusedCodes = new Set([
  'OOM',
  'MISCONF',
  'READONLY',
  'LOADING',
  'BUSY',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'NOREPLICAS',
]);
const notSent = "Stream isn't writeable and enableOfflineQueue options is false";

const retryMs = 1_000;
const frozenRetryMs = 30_000;
/** Before the opening by more than this, a process refuses alone; nearer, Redis' clock decides. */
const openingMarginMs = 250;

type LaneBatchers = {
  reserve: Batcher<Reservation, Reserved>;
  find: Batcher<string, Order | undefined>;
};

/**
 * The hot path: batchers the Buys of a lane into few calls, refuses from memory what it can, and
 * turns every way a call can fail into an honest answer.
 */
export function openIntake(options: IntakeOptions): Intake {
  const { lanes, catalog, takes, limits = intakeLimits } = options;
  const batchers = new Map<string, { lanes: LaneBatchers[]; view: DropView }>();

  function batchersOf(view: DropView, lane: number): LaneBatchers {
    let entry = batchers.get(view.drop.id);
    if (!entry) {
      forgetIdle();
      entry = { lanes: [], view };
      batchers.set(view.drop.id, entry);
    }
    entry.lanes[lane] ??= openBatchers({ drop: view.drop.id, lane });
    return entry.lanes[lane] as LaneBatchers;
  }

  function openBatchers(ref: LaneRef): LaneBatchers {
    return {
      reserve: openBatcher({ run: (batch) => lanes.reserve(ref, batch), ...limits }),
      find: openBatcher({ run: (batch) => lanes.find(ref, batch), ...limits }),
    };
  }

  /** Lets go of the lanes of drops that the catalog has let go of and nothing waits for. */
  function forgetIdle(): void {
    for (const [dropId, entry] of batchers) {
      const busy = entry.lanes.some(
        ({ reserve, find }) =>
          reserve.waiting() + reserve.inFlight() + find.waiting() + find.inFlight() > 0,
      );
      if (!busy && !entry.view.fresh()) batchers.delete(dropId);
    }
  }

  async function buy(request: Buy): Promise<Bought> {
    let view = catalog.peek(request.drop);
    if (!view) {
      try {
        view = await catalog.get(request.drop);
      } catch {
        return { status: 'overloaded', retryAfterMs: retryMs };
      }
      if (!view) return nowhere(request.drop);
    }
    const { drop } = view;
    const item = view.skuIndex.get(request.sku);
    if (item === undefined) return { status: 'unknown_item' };
    const ref = orderRef(drop.id, request.buyer, request.key, drop.lanes);
    const { quantity, method, buyer } = request;
    const alone =
      takes && !takes(method, drop.currency)
        ? ({ status: 'not_offered' } as const)
        : refuseAlone(view, ref.lane, item, quantity);
    // Before the opening there are no orders; any other refusal must not hide the key's own order.
    if (alone?.status === 'not_open') return alone;
    const queues = batchersOf(view, ref.lane);
    try {
      if (alone) {
        const known = await queues.find.add(ref.digest);
        if (!known) return alone;
        const same = known.item === item && known.quantity === quantity && known.method === method;
        return same ? { status: 'replayed', order: known, drop } : { status: 'reused' };
      }
      const reserved = await queues.reserve.add({
        digest: ref.digest,
        buyer,
        item,
        quantity,
        method,
      });
      return answer(reserved, drop);
    } catch (error) {
      if (refused(error)) return { status: 'overloaded', retryAfterMs: retryMs };
      if (isBug(error)) throw error;
      return { status: 'outcome_unknown', order: orderId(ref), retryAfterMs: retryMs };
    }
  }

  function refuseSoldOut(
    request: Parameters<Intake['refuseSoldOut']>[0],
  ): ReturnType<Intake['refuseSoldOut']> {
    const view = catalog.peek(request.drop);
    if (!view?.isSoldOut || !view.fresh() || view.state() !== 'open') return undefined;
    const ref = orderRef(request.drop, request.buyer, request.key, view.drop.lanes);
    const known = batchersOf(view, ref.lane).find.add(ref.digest);
    return known.then(
      (order) => (order ? undefined : { status: 'sold_out', available: 0 }),
      // Whatever is in the way, the whole request finds the words for it.
      () => undefined,
    );
  }

  function nowhere(dropId: DropId): Bought {
    if (!catalog.isLost(dropId)) return { status: 'unknown_drop' };
    return { status: 'frozen', retryAfterMs: frozenRetryMs };
  }

  function refuseAlone(
    view: DropView,
    lane: number,
    item: number,
    quantity: number,
  ): Exclude<Bought, { status: 'reserved' | 'replayed' }> | undefined {
    if (!view.fresh()) return undefined;
    const { drop } = view;
    const now = catalog.redisNow();
    if (drop.decision === 'cancelled') return { status: 'cancelled' };
    if (drop.decision === 'ended' || now > drop.endsAt) return { status: 'ended' };
    if (drop.decision === 'paused') return { status: 'paused' };
    if (now < drop.startsAt - openingMarginMs) {
      return { status: 'not_open', startsAt: drop.startsAt, retryAfterMs: drop.startsAt - now };
    }
    const figures = view.lanes[lane]?.[item];
    if (!figures || figures.available >= quantity) return undefined;
    const { available, held } = figures;
    if (available + held < quantity) return { status: 'sold_out', available };
    // To come back is no advice for a buyer without an appointment, which the lane knows.
    if (drop.appointment) return undefined;
    return { status: 'all_held', available, retryAfterMs: retryMs };
  }

  function answer(reserved: Reserved, drop: Drop): Bought {
    switch (reserved.status) {
      case 'reserved':
      case 'replayed':
        return { status: reserved.status, order: reserved.order, drop };
      case 'all_held': {
        const retryAfterMs = Math.max(retryMs, reserved.dueAt - catalog.redisNow());
        return { status: 'all_held', available: reserved.available, retryAfterMs };
      }
      case 'not_open': {
        const retryAfterMs = Math.max(0, reserved.startsAt - catalog.redisNow());
        return { status: 'not_open', startsAt: reserved.startsAt, retryAfterMs };
      }
      case 'missing':
        // The catalog had the drop a moment ago, so its lane has been emptied since.
        return { status: 'frozen', retryAfterMs: frozenRetryMs };
      case 'no_appointment':
        return { status: 'no_appointment', until: drop.appointment?.until ?? drop.startsAt };
      case 'sold_out':
      case 'buyer_limit':
        return reserved;
      default:
        return { status: reserved.status };
    }
  }

  return {
    buy,
    refuseSoldOut,
    waiting() {
      let waiting = 0;
      for (const entry of batchers.values()) {
        for (const lane of entry.lanes) waiting += lane.reserve.waiting() + lane.find.waiting();
      }
      return waiting;
    },
  };
}

/** True when the Buy surely did not happen: it was never queued, never sent, or refused unrun. */
function refused(error: unknown): boolean {
  if (error instanceof QueueFull) return true;
  if (!(error instanceof Error)) return false;
  if (isReply(error)) return refusedCodes.has(error.message.split(' ', 1)[0] ?? '');
  return error.message === notSent;
}

/** Redis' own word, as against a lost or late answer. */
function isReply(error: Error): boolean {
  return error.name === 'ReplyError';
}

function isBug(error: unknown): boolean {
  if (!(error instanceof Error)) return true;
  return isReply(error) || error instanceof TypeError || error.message.startsWith('bug: ');
}
