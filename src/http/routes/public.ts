import type { FastifyInstance } from 'fastify';
import { isOver } from '../../drops/appointment-rules.ts';
import type { Catalog } from '../../inventory/catalog.ts';
import type { Log } from '../../log.ts';
import { networkOf } from '../limits/addresses.ts';
import { openDropPoller } from '../live/drops.ts';
import type { Streams } from '../live/streams.ts';
import { contract } from '../schemas/contract.ts';
import { cardBody } from '../schemas/drops.ts';
import { addRoute } from '../server/add-route.ts';
import { isCurrent } from '../server/kept-answer.ts';
import type { Cards } from '../views/card.ts';
import { publishedDrop } from './lookups.ts';

export type PublicRouteOptions = { catalog: Catalog; cards: Cards; streams: Streams; log: Log };

/** What anybody may see of a drop, answered from this process' memory. */
export function publicRoutes(app: FastifyInstance, options: PublicRouteOptions): void {
  const { catalog, cards, streams, log } = options;
  const poller = openDropPoller({
    catalog,
    cards,
    onError: (error) => log.warn({ err: error }, 'drop poll of the live streams failed'),
  });

  addRoute(
    app,
    'GET /v1/drops/:drop',
    { contract: contracts.card },
    async ({ params, headers }, reply) => {
      const card = await cards.of(await publishedDrop(catalog, params));
      const etag = `W/"${card.etag}"`;
      reply.header('etag', etag).header('cache-control', 'public, max-age=1');
      if (isCurrent(headers['if-none-match'], etag)) return reply.code(304).send();
      return reply.header('content-type', 'application/json; charset=utf-8').send(card.text());
    },
  );

  addRoute(
    app,
    'GET /v1/drops/:drop/stream',
    { contract: contracts.stream, exposeHeadRoute: false },
    async ({ params, headers, ip }, reply) => {
      const view = await publishedDrop(catalog, params);
      const card = await cards.of(view);
      // 204 keeps an EventSource from reconnecting for an event that it already has.
      if (isOver(view.state()) && headers['last-event-id'] === card.etag)
        return reply.code(204).send();
      const owner = { network: networkOf(ip) };
      const stream = streams.open(reply, owner, (closed) => poller.leave(view.drop.id, closed));
      if (stream) poller.follow(view, card, stream);
      return reply;
    },
  );
}

const contracts = {
  card: contract({
    tag: 'Public',
    summary: 'Get what the card shows',
    answers: {
      200: {
        description: 'The drop as the public may see it',
        schema: cardBody,
        headers: {
          ETag: 'Changes when the content does',
          'Cache-Control': 'May be kept for a second',
        },
      },
      304: { description: 'Unchanged since the ETag in If-None-Match' },
    },
    problems: ['unknown_drop', 'drop_frozen'],
  }),
  stream: contract({
    tag: 'Public',
    summary: 'Follow the card live',
    description:
      'Server-sent events named `drop`, each with the whole card. The stream ends when the drop is over.',
    answers: {
      200: { description: 'Events', mediaTypes: ['text/event-stream'] },
      204: { description: 'The drop is over and its last event was already delivered' },
    },
    cost: 20,
    problems: ['unknown_drop', 'drop_frozen', 'overloaded', 'streams_open'],
  }),
};
