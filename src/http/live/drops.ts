import type { DropId } from '../../domain/ids.ts';
import type { Catalog, DropView } from '../../inventory/catalog.ts';
import type { Card, Cards } from '../views/card.ts';
import { openPoller, type Polled } from './poller.ts';
import type { Stream } from './streams.ts';

type PolledDrop = Polled & { etag: string };

/** Follows drops for their streams, from the catalog's memory; a card is written once for all. */
export function openDropPoller(options: {
  catalog: Catalog;
  cards: Cards;
  onError(error: unknown): void;
}) {
  const { catalog, cards } = options;
  const watch = openPoller<DropId, PolledDrop>({ poll, onError: options.onError });

  async function poll(polled: Map<DropId, PolledDrop>): Promise<void> {
    for (const [id, entry] of polled) {
      const view = await catalog.get(id);
      const card = view && (await cards.of(view));
      if (!card || card.etag === entry.etag) continue;
      entry.etag = card.etag;
      for (const stream of entry.streams) tell(stream, view, card);
    }
  }

  return {
    async follow(view: DropView, stream: Stream): Promise<void> {
      const card = await cards.of(view);
      tell(stream, view, card);
      if (isOver(view)) return;
      watch.join(view.drop.id, stream, () => ({ streams: new Set(), etag: card.etag }));
    },
    leave: watch.leave,
  };
}

export function isOver(view: DropView): boolean {
  const state = view.state();
  return state === 'ended' || state === 'cancelled';
}

function tell(stream: Stream, view: DropView, card: Card): void {
  stream.send({ name: 'drop', id: card.etag, data: card.text() });
  if (isOver(view)) stream.end();
}
