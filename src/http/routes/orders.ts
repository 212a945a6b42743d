import type { FastifyInstance } from 'fastify';
import type { OrderService, OrderView } from '../../checkout/orders.ts';
import { parseOrderId } from '../../domain/ids.ts';
import type { Guards } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { isSettled, openOrderPoller } from '../live/orders.ts';
import type { Streams } from '../live/streams.ts';
import { Problem, sendProblem } from '../problems/problems.ts';
import { type Contract, schemaOf } from '../schemas/contract.ts';
import { nothing } from '../schemas/fields.ts';
import { orderBody } from '../schemas/orders.ts';
import { orderJson } from '../views/views.ts';
import { paymentRoute } from './payments.ts';
import { nothingMore } from './public.ts';

type OrderPath = { Params: { order: string } };

/** A buyer's own orders. Another's order and none at all are the same answer. */
export function orderRoutes(
  app: FastifyInstance,
  deps: AppDeps,
  guards: Guards,
  streams: Streams,
): void {
  const { lanes, log } = deps;
  const { orders } = deps.services;
  const onRequest = guards.requireBuyer;
  const watch = openOrderPoller({
    lanes,
    onError: (error) => log.warn({ err: error }, 'orders could not be looked at'),
  });

  async function ownOrder(
    request: { buyer: string; params: { order: string } },
    look: OrderService['read'] = orders.peek,
  ) {
    const { order } = request.params;
    const view = parseOrderId(order) ? await look(order) : undefined;
    if (view?.buyer !== request.buyer) throw new Problem('unknown_order');
    return view as OrderView;
  }

  app.get<OrderPath>(
    '/v1/orders/:order',
    { schema: schemas.read, onRequest },
    async (request, reply) => {
      reply.header('cache-control', 'no-store');
      return orderJson(await ownOrder(request));
    },
  );

  app.get<OrderPath>(
    '/v1/orders/:order/stream',
    { schema: schemas.stream, onRequest, exposeHeadRoute: false },
    async (request, reply) => {
      const view = await ownOrder(request);
      const seen = request.headers['last-event-id'] === String(view.version);
      if (isSettled(view) && seen) return nothingMore(reply);
      const stream = streams.open(reply, (closed) => watch.leave(view.id, closed));
      if (!stream) return void sendProblem(reply, 'overloaded');
      watch.follow(view, stream);
    },
  );

  app.post<OrderPath>(
    '/v1/orders/:order/cancel',
    { schema: schemas.cancel, onRequest },
    async (request) => {
      const view = await ownOrder(request);
      const result = await orders.cancel(view.id);
      if (result.kind === 'unknown') throw new Problem('unknown_order');
      if (result.kind === 'refused') throw new Problem('order_paid');
      return orderJson({ ...view, ...result.order });
    },
  );

  paymentRoute(app, deps, guards, (request) => ownOrder(request, orders.read));
}

const order: Pick<Contract, 'tag' | 'who'> = { tag: 'Buyers', who: 'buyer' };

const schemas = {
  read: schemaOf({
    ...order,
    summary: 'The order now',
    answers: { 200: { description: 'The order', schema: orderBody } },
    problems: ['unknown_order', 'overloaded'],
  }),
  stream: schemaOf({
    ...order,
    summary: 'The order, live',
    description:
      'Server-sent events `order`, each with the whole order; ends when the order is no longer reserved.',
    answers: {
      200: { description: 'Events', mediaTypes: ['text/event-stream'] },
      204: { description: 'The order has ended and its last event was already delivered' },
    },
    problems: ['unknown_order', 'overloaded'],
  }),
  cancel: schemaOf({
    ...order,
    summary: 'Give the units back',
    body: nothing,
    description: 'Repeating it is harmless. A paid order is not cancelled.',
    answers: { 200: { description: 'The order, released', schema: orderBody } },
    problems: ['unknown_order', 'order_paid', 'overloaded'],
  }),
};
