import type { OrderView } from '../../checkout/orders.ts';
import { type OrderId, placeOf } from '../../domain/ids.ts';
import type { Order } from '../../domain/order.ts';
import { byLane, callOrdersMax, type Lanes } from '../../inventory/lanes.ts';
import { orderJson } from '../views/views.ts';
import { openPoller, type Polled } from './poller.ts';
import type { Stream } from './streams.ts';

type PolledOrder = Polled & { view: OrderView };

/** Sends orders to their streams when they change: one read per lane for all orders polled in it. */
export function openOrderPoller(options: {
  lanes: Pick<Lanes, 'find'>;
  onError(error: unknown): void;
}) {
  const { lanes } = options;
  const poller = openPoller<OrderId, PolledOrder>({ poll, onError: options.onError });

  async function poll(polled: Map<OrderId, PolledOrder>): Promise<void> {
    for (const { ref, places } of byLane([...polled.keys()].map(placeOf))) {
      for (let at = 0; at < places.length; at += callOrdersMax) {
        const digests = places.slice(at, at + callOrdersMax).map((place) => place.digest);
        for (const order of await lanes.find(ref, digests)) {
          if (order) sendChange(order, polled.get(order.id));
        }
      }
    }
  }

  return {
    /** Sends the order now and after each change; ends the stream when the order is settled. */
    follow(view: OrderView, stream: Stream): void {
      sendOrder(stream, view);
      if (isSettled(view)) return;
      poller.join(view.id, stream, () => ({ streams: new Set(), view }));
    },
    leave: poller.leave,
  };
}

/** Sends an order to the streams of its entry if it is newer than what they have. */
function sendChange(order: Order, entry: PolledOrder | undefined): void {
  if (!entry || order.version <= entry.view.version) return;
  entry.view = { ...entry.view, ...order };
  for (const stream of entry.streams) sendOrder(stream, entry.view);
}

/** An order that is not reserved changes no more, except by a refund, which is not streamed. */
export function isSettled(view: OrderView): boolean {
  return view.state !== 'reserved';
}

function sendOrder(stream: Stream, view: OrderView): void {
  stream.send({ name: 'order', id: String(view.version), data: JSON.stringify(orderJson(view)) });
  if (isSettled(view)) stream.end();
}
