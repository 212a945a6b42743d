import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Catalog, DropView } from '../../inventory/catalog.ts';
import type { AppDeps } from '../deps.ts';
import { isOver, openDropPoller } from '../live/drops.ts';
import type { Streams } from '../live/streams.ts';
import { Problem, sendProblem } from '../problems/problems.ts';
import { schemaOf } from '../schemas/contract.ts';
import { cardBody } from '../schemas/drops.ts';
import { openCards } from '../views/card.ts';

type DropPath = { Params: { drop: string } };

/** What anybody may see of a drop, answered from this process' memory. */
export function publicRoutes(app: FastifyInstance, deps: AppDeps, streams: Streams): void {
  const { catalog, ledger, log } = deps;
  const cards = openCards({
    catalog,
    methods: deps.services.methods,
    store: ledger.merchants.get,
  });
  const watch = openDropPoller({
    catalog,
    cards,
    onError: (error) => log.warn({ err: error }, 'drops could not be looked at'),
  });

  app.get<DropPath>('/v1/drops/:drop', { schema: cardSchema }, async (request, reply) => {
    const card = await cards.of(await viewOf(catalog, request.params.drop));
    const etag = `W/"${card.etag}"`;
    reply.header('etag', etag).header('cache-control', 'public, max-age=1');
    if (matches(request.headers['if-none-match'], etag)) {
      reply.code(304).send();
      return;
    }
    reply.header('content-type', 'application/json; charset=utf-8').send(card.text());
  });

  app.get<DropPath>(
    '/v1/drops/:drop/stream',
    { schema: streamSchema, exposeHeadRoute: false },
    async (request, reply) => {
      const view = await viewOf(catalog, request.params.drop);
      const card = await cards.of(view);
      if (isOver(view) && request.headers['last-event-id'] === card.etag) return nothingMore(reply);
      const stream = streams.open(reply, (closed) => watch.leave(view.drop.id, closed));
      if (!stream) return void sendProblem(reply, 'overloaded');
      await watch.follow(view, stream);
    },
  );
}

/**
 * A published drop as this process knows it.
 * @throws Problem unknown_drop, or drop_frozen when its lanes have lost their data
 */
export async function viewOf(catalog: Catalog, dropId: string): Promise<DropView> {
  const view = await catalog.get(dropId);
  if (!view) throw new Problem(catalog.isLost(dropId) ? 'drop_frozen' : 'unknown_drop');
  return view;
}

/** The answer that keeps an EventSource from coming back for what it has already been told. */
export function nothingMore(reply: FastifyReply): void {
  reply.code(204).send();
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  const plain = etag.replace(/^W\//, '');
  return header.split(',').some((part) => part.trim().replace(/^W\//, '') === plain);
}

const cardSchema = schemaOf({
  tag: 'Public',
  summary: 'What the card shows',
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
});

const streamSchema = schemaOf({
  tag: 'Public',
  summary: 'The card, live',
  description: 'Server-sent events `drop`, each with the whole card; ends when the drop is over.',
  answers: {
    200: { description: 'Events', mediaTypes: ['text/event-stream'] },
    204: { description: 'The drop is over and its last event was already delivered' },
  },
  problems: ['unknown_drop', 'drop_frozen', 'overloaded'],
});
