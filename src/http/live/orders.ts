import type { OrderView } from '../../checkout/orders.ts';
import { type OrderId, placeOf } from '../../domain/ids.ts';
import { byLane, callOrdersMax, type Lanes } from '../../inventory/lanes.ts';
import { orderJson } from '../views/views.ts';
import { openPoller, type Polled } from './poller.ts';
import type { Stream } from './streams.ts';

type PolledOrder = Polled & { view: OrderView };

/** Follows orders for their streams: one look per lane, however many orders are followed. */
export function openOrderPoller(options: {
  lanes: Pick<Lanes, 'find'>;
  onError(error: unknown): void;
}) {
  const { lanes } = options;
  const watch = openPoller<OrderId, PolledOrder>({ poll, onError: options.onError });

  async function poll(polled: Map<OrderId, PolledOrder>): Promise<void> {
    const places = [...polled.keys()].map(placeOf);
    for (const group of byLane(places)) {
      for (let at = 0; at < group.places.length; at += callOrdersMax) {
        const digests = group.places.slice(at, at + callOrdersMax).map((place) => place.digest);
        for (const order of await lanes.find(group.ref, digests)) {
          const entry = order && polled.get(order.id);
          if (!entry || order.version <= entry.view.version) continue;
          entry.view = { ...entry.view, ...order };
          for (const stream of entry.streams) tell(stream, entry.view);
        }
      }
    }
  }

  return {
    /** Tells a stream the order as it is, then each change; ends it when the hold has ended. */
    follow(view: OrderView, stream: Stream): void {
      tell(stream, view);
      if (isSettled(view)) return;
      watch.join(view.id, stream, () => ({ streams: new Set(), view }));
    },
    leave: watch.leave,
  };
}

/** Nothing more is expected of an order that is not reserved; a refund is the merchant's to tell. */
export function isSettled(view: OrderView): boolean {
  return view.state !== 'reserved';
}

function tell(stream: Stream, view: OrderView): void {
  stream.send({ name: 'order', id: String(view.version), data: JSON.stringify(orderJson(view)) });
  if (isSettled(view)) stream.end();
}
