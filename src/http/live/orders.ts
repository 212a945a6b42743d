import { isRecorded, type OrderView } from '../../checkout/order-view.ts';
import type { OrderService } from '../../checkout/orders.ts';
import { type LaneRef, type OrderId, placeOf } from '../../domain/ids.ts';
import type { Order } from '../../domain/order.ts';
import { byLane } from '../../inventory/by-lane.ts';
import { callOrdersMax, type Lanes } from '../../inventory/lanes.ts';
import { isOfLane } from '../../inventory/redis-errors.ts';
import { orderJson } from '../views/views.ts';
import { openPoller, type Polled } from './poller.ts';
import type { Stream } from './streams.ts';

/** `tries` counts the polls since the lane has a change that the ledger does not have. */
type PolledOrder = Polled & { view: OrderView; tries: number };

/** How many polls a change waits for its times and payment; then it is sent without them. */
const triesMax = 4;

/** Sends orders to their streams when they change: one read per lane for all orders polled in it. */
export function openOrderPoller(options: {
  lanes: Pick<Lanes, 'find'>;
  orders: Pick<OrderService, 'view' | 'laneView'>;
  onError(error: unknown): void;
  /** Called in each poll with a text that names the lane which cannot be read. */
  onLaneError(message: string): void;
}) {
  const { lanes, orders } = options;
  const poller = openPoller<OrderId, PolledOrder>({ poll, onError: options.onError });

  async function poll(polled: Map<OrderId, PolledOrder>): Promise<void> {
    const changes: Promise<void>[] = [];
    for (const { ref, places } of byLane([...polled.keys()].map(placeOf))) {
      for (let at = 0; at < places.length; at += callOrdersMax) {
        const digests = places.slice(at, at + callOrdersMax).map((place) => place.digest);
        for (const order of await find(ref, digests)) {
          const entry = order && polled.get(order.id);
          if (entry && order.version > entry.view.version) changes.push(sendChange(order, entry));
        }
      }
    }
    await Promise.all(changes);
  }

  /** The streams of a lane that cannot be read wait, and those of the other lanes go on. */
  async function find(ref: LaneRef, digests: string[]): Promise<(Order | undefined)[]> {
    try {
      return await lanes.find(ref, digests);
    } catch (error) {
      if (!isOfLane(error)) throw error;
      options.onLaneError(`the streams of lane ${ref.lane} of ${ref.drop} wait: ${String(error)}`);
      return [];
    }
  }

  /** Sends an order that is newer than what the streams of its entry have. */
  async function sendChange(order: Order, entry: PolledOrder): Promise<void> {
    entry.tries += 1;
    const isLast = entry.tries >= triesMax;
    const found = await orders.view(order).catch(() => undefined);
    if (!isLast && !(found && isRecorded(found))) return;
    const view = found ?? (await orders.laneView(order));
    if (!view) return;
    entry.view = view;
    entry.tries = 0;
    for (const stream of entry.streams) sendOrder(stream, view);
  }

  return {
    /** Sends the order now and after each change; ends the stream when the order is settled. */
    follow(view: OrderView, stream: Stream): void {
      sendOrder(stream, view);
      if (isSettled(view)) return;
      poller.join(view.id, stream, () => ({ streams: new Set(), view, tries: 0 }));
    },
    leave: poller.leave,
  };
}

/** An order that is not reserved changes no more, except by a refund, which is not streamed. */
export function isSettled(view: OrderView): boolean {
  return view.state !== 'reserved';
}

function sendOrder(stream: Stream, view: OrderView): void {
  stream.send({ name: 'order', id: String(view.version), data: JSON.stringify(orderJson(view)) });
  if (isSettled(view)) stream.end();
}
