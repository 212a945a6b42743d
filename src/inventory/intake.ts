import { type Batcher, openBatcher, QueueFull } from '../batching/batcher.ts';
import { allowsMethod, type Drop } from '../domain/drop.ts';
import { type DropId, type LaneRef, type OrderId, orderId, orderRef } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import { type PackedDetails, packDetails } from '../domain/order-details.ts';
import { required } from '../domain/required.ts';
import type { Bought, Buy, Refused, SoldOut } from './buy.ts';
import { isLimitKnown, isSame, refuseFields } from './buy-checks.ts';
import type { Catalog, DropView } from './catalog.ts';
import type { Lanes, Reservation } from './lanes.ts';
import { isRedisError, isRedisReply, unavailableCodes } from './redis-errors.ts';
import type { Reserved } from './replies.ts';

export type { Bought, Buy, SoldOut };

export type Intake = {
  /**
   * Decides one Buy. Failures of Redis are results: see `resultOfFailure`.
   * @throws only for a bug, such as a reply that no script gives
   */
  buy(request: Buy): Promise<Bought>;
  /**
   * The answer when all items of the drop are sold out, so that the request's body need not be read.
   * Undefined when they are not, or when the key has an order: then the whole request is needed.
   */
  refuseSoldOut(
    request: Pick<Buy, 'drop' | 'buyer' | 'key'>,
  ): Promise<SoldOut | undefined> | undefined;
  /** Buys and look-ups waiting for a call to Redis. */
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
  takes?(method: string, currency: string, amount: number): boolean;
  /** Whether the buyer has to begin the payment of such an order; never when absent. */
  awaitsBuyer?(order: Pick<Order, 'method' | 'amount'>, drop: Drop): boolean;
  /**
   * Bounds for each lane. Buys beyond queueMax are refused, and all Buys while the oldest has waited
   * for more than waitMsMax milliseconds.
   */
  limits?: IntakeLimits;
};

export const intakeLimits: IntakeLimits = {
  batchMax: 128,
  inFlightMax: 2,
  queueMax: 4_096,
  waitMsMax: 150,
};

/** Details of Buys that wait for their lane, in characters: bounds what they take of the memory. */
const detailsWaitingMax = 16_777_216;
const notSent = "Stream isn't writeable and enableOfflineQueue options is false";

const retryMs = 1_000;
const frozenRetryMs = 30_000;
/** Earlier than this before the opening, this process refuses itself; later, Redis' clock decides. */
const openingMarginMs = 250;

type LaneBatchers = {
  reserve: Batcher<Reservation, Reserved>;
  find: Batcher<string, Order | undefined>;
};

/**
 * The hot path of a Buy: groups the Buys of a lane into few script calls, refuses from memory what it
 * can, and turns each failure of a call into a result.
 */
export function openIntake(options: IntakeOptions): Intake {
  const { lanes, catalog, takes, awaitsBuyer, limits = intakeLimits } = options;
  let detailsWaiting = 0;
  const batchers = new Map<string, { lanes: Map<number, LaneBatchers>; view: DropView }>();

  function batchersOf(view: DropView, lane: number): LaneBatchers {
    let entry = batchers.get(view.drop.id);
    if (!entry) {
      forgetIdle();
      entry = { lanes: new Map(), view };
      batchers.set(view.drop.id, entry);
    }
    const batcher = entry.lanes.get(lane) ?? openBatchers({ drop: view.drop.id, lane });
    entry.lanes.set(lane, batcher);
    return batcher;
  }

  function openBatchers(ref: LaneRef): LaneBatchers {
    return {
      reserve: openBatcher({ run: (batch) => lanes.reserve(ref, batch), ...limits }),
      find: openBatcher({ run: (batch) => lanes.find(ref, batch), ...limits }),
    };
  }

  /** Removes the batchers of drops that are out of the catalog and have no Buy waiting. */
  function forgetIdle(): void {
    for (const [dropId, entry] of batchers) {
      const busy = [...entry.lanes.values()].some(
        ({ reserve, find }) =>
          reserve.waiting() + reserve.inFlight() + find.waiting() + find.inFlight() > 0,
      );
      if (!busy && !entry.view.fresh()) batchers.delete(dropId);
    }
  }

  async function buy(request: Buy): Promise<Bought> {
    const view = catalog.peek(request.drop) ?? (await readView(request.drop));
    if ('status' in view) return view;
    if (!request.details) return await buyFrom(view, request);
    const { length } = JSON.stringify(request.details);
    if (detailsWaiting + length > detailsWaitingMax) {
      return { status: 'overloaded', retryAfterMs: retryMs };
    }
    detailsWaiting += length;
    try {
      return await buyFrom(view, request, packDetails(request.details));
    } finally {
      detailsWaiting -= length;
    }
  }

  async function buyFrom(view: DropView, request: Buy, details?: PackedDetails): Promise<Bought> {
    const { drop } = view;
    const item = view.skuIndex.get(request.sku);
    if (item === undefined) return { status: 'unknown_item' };
    const { buyer, quantity, method } = request;
    const ref = orderRef(drop.id, buyer, request.key, drop.lanes);
    const amount = (drop.items[item]?.unitAmount ?? 0) * quantity;
    const reservation: Reservation = {
      ...{ digest: ref.digest, buyer, item, quantity, method, details },
      awaitsBuyer: awaitsBuyer?.({ method, amount }, drop) ?? false,
    };
    const refusal =
      refuseFields(drop, request.details) ?? refuseFromMemory(view, ref.lane, reservation);
    // Before the opening there are no orders; any other refusal must not hide the key's own order.
    if (refusal?.status === 'not_open') return refusal;
    const queues = batchersOf(view, ref.lane);
    try {
      if (!refusal) {
        const reserved = await queues.reserve.add(reservation);
        const isKnown = isLimitKnown(drop, reserved);
        return answer(reserved, (isKnown ? drop : await lanes.readDrop(ref)) ?? drop, item);
      }
      const known = await queues.find.add(ref.digest);
      if (!known) return refusal;
      return isSame(known, reservation)
        ? { status: 'replayed', order: known, drop }
        : { status: 'reused' };
    } catch (error) {
      return resultOfFailure(error, orderId(ref));
    }
  }

  /** The drop that is not in memory yet, or the result of a Buy that cannot have it. */
  async function readView(dropId: DropId): Promise<DropView | Bought> {
    const view = catalog.get(dropId).then((found) => found ?? missingDrop(dropId));
    return await view.catch(() => ({ status: 'overloaded', retryAfterMs: retryMs }));
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
      // On a failure the whole request is read, and `buy` gives the result.
      () => undefined,
    );
  }

  function missingDrop(dropId: DropId): Bought {
    if (!catalog.isLost(dropId)) return { status: 'unknown_drop' };
    return { status: 'frozen', retryAfterMs: frozenRetryMs };
  }

  function refuseFromMemory(
    view: DropView,
    lane: number,
    { item, quantity, method }: Reservation,
  ): Refused | undefined {
    const { drop } = view;
    const amount = (drop.items[item]?.unitAmount ?? 0) * quantity;
    const isTaken = !takes || takes(method, drop.currency, amount);
    const isOffered = allowsMethod(drop, method) && isTaken;
    if (!isOffered) return { status: 'not_offered' };
    if (!view.fresh()) return undefined;
    return refuseClosed(drop, catalog.redisNow()) ?? refuseShort(view, lane, { item, quantity });
  }

  /** Refuses what the lane has no units for. */
  function refuseShort(
    { drop, lanes: figuresByLane, dueAt }: DropView,
    lane: number,
    { item, quantity }: Pick<Reservation, 'item' | 'quantity'>,
  ): Refused | undefined {
    const figures = figuresByLane[lane]?.[item];
    if (!figures || figures.available >= quantity) return undefined;
    const { available, held } = figures;
    if (available + held < quantity) return { status: 'sold_out', available };
    // Only the lane knows whether the buyer has an appointment; without one, waiting is no use.
    if (drop.appointment) return undefined;
    return { status: 'all_held', available, retryAfterMs: untilDue(dueAt[lane]) };
  }

  /** The time until the earliest hold ends; a hold that should have ended is about to be swept. */
  function untilDue(dueAt = 0): number {
    return Math.max(retryMs, dueAt - catalog.redisNow());
  }

  function answer(reserved: Reserved, drop: Drop, item: number): Bought {
    switch (reserved.status) {
      case 'reserved':
      case 'replayed':
        return { status: reserved.status, order: reserved.order, drop };
      case 'all_held':
        return { ...reserved, retryAfterMs: untilDue(reserved.dueAt) };
      case 'not_open': {
        const retryAfterMs = Math.max(0, reserved.startsAt - catalog.redisNow());
        return { status: 'not_open', startsAt: reserved.startsAt, retryAfterMs };
      }
      case 'missing':
        // The catalog had the drop a moment ago, so its lane has been emptied since.
        return { status: 'frozen', retryAfterMs: frozenRetryMs };
      case 'no_appointment':
        return { status: 'no_appointment', until: drop.appointment?.until ?? drop.startsAt };
      case 'buyer_limit': {
        const { perBuyer } = reserved.scope === 'drop' ? drop : required(drop.items[item], 'item');
        return { ...reserved, limit: required(perBuyer, 'limit that was reached') };
      }
      case 'lapse_limit':
        return { ...reserved, limit: required(drop.lapsesMax, 'limit that was reached') };
      case 'sold_out':
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
        for (const lane of entry.lanes.values())
          waiting += lane.reserve.waiting() + lane.find.waiting();
      }
      return waiting;
    },
  };
}

/** Refuses what comes before the opening or after the end, or while the drop is paused. */
function refuseClosed(drop: Drop, now: number): Refused | undefined {
  if (drop.decision === 'cancelled') return { status: 'cancelled' };
  if (drop.decision === 'ended' || now > drop.endsAt) return { status: 'ended' };
  if (drop.decision === 'paused') return { status: 'paused' };
  if (now >= drop.startsAt - openingMarginMs) return undefined;
  return { status: 'not_open', startsAt: drop.startsAt, retryAfterMs: drop.startsAt - now };
}

/**
 * The result of a Buy whose call failed. This is where OOM and the other refusals of Redis end:
 * - The queue was full, the call was never sent, or Redis refused it before it ran (OOM, MISCONF,
 *   READONLY, LOADING and the like): nothing was reserved. `overloaded`, HTTP 503.
 * - The connection broke or the answer was late: the order may exist. `outcome_unknown`, HTTP 503.
 * @throws the error itself when it is a bug: HTTP 500
 */
function resultOfFailure(error: unknown, order: OrderId): Bought {
  if (refused(error)) return { status: 'overloaded', retryAfterMs: retryMs };
  if (isBug(error)) throw error;
  return { status: 'outcome_unknown', order, retryAfterMs: retryMs };
}

/** True when the Buy surely did not happen: it was never queued, never sent, or refused unrun. */
function refused(error: unknown): boolean {
  if (error instanceof QueueFull) return true;
  if (!(error instanceof Error)) return false;
  // Redis refused the script before it ran.
  if (isRedisError(error, ...unavailableCodes)) return true;
  return error.message === notSent;
}

function isBug(error: unknown): boolean {
  if (!(error instanceof Error)) return true;
  return isRedisReply(error) || error instanceof TypeError || error.message.startsWith('bug: ');
}
