import type { DropId } from '../../domain/ids.ts';
import { isOver } from '../../drops/appointment-rules.ts';
import type { Catalog, DropView } from '../../inventory/catalog.ts';
import type { Card, Cards } from '../views/card.ts';
import { openPoller, type Polled } from './poller.ts';
import type { Stream } from './streams.ts';

type PolledDrop = Polled & { etag: string };

/** Sends the card of a drop to its streams when it changes. Reads the catalog in memory. */
export function openDropPoller(options: {
  catalog: Catalog;
  cards: Cards;
  onError(error: unknown): void;
}) {
  const { catalog, cards } = options;
  const poller = openPoller<DropId, PolledDrop>({ poll, onError: options.onError });

  async function poll(polled: Map<DropId, PolledDrop>): Promise<void> {
    for (const [id, entry] of polled) {
      const view = await catalog.get(id);
      const card = view && (await cards.of(view));
      if (!card || card.etag === entry.etag) continue;
      entry.etag = card.etag;
      for (const stream of entry.streams) sendCard(stream, view, card);
    }
  }

  return {
    /** Sends the card now and after each change; ends the stream when the drop is over. */
    follow(view: DropView, card: Card, stream: Stream): void {
      sendCard(stream, view, card);
      if (isOver(view.state())) return;
      poller.join(view.drop.id, stream, () => ({ streams: new Set(), etag: card.etag }));
    },
    leave: poller.leave,
  };
}

function sendCard(stream: Stream, view: DropView, card: Card): void {
  stream.send({ name: 'drop', id: card.etag, data: card.text() });
  if (isOver(view.state())) stream.end();
}
