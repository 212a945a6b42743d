import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { OrderService } from '../../checkout/orders.ts';
import { systemClock } from '../../domain/clock.ts';
import type { Lanes } from '../../inventory/lanes.ts';
import type { Log } from '../../log.ts';
import { throttleLog } from '../../payments/log-throttle.ts';
import type { Guards } from '../auth/guards.ts';
import { isSettled, openOrderPoller } from '../live/orders.ts';
import type { Streams } from '../live/streams.ts';
import { Problem } from '../problems/problems.ts';
import { contract } from '../schemas/contract.ts';
import { cursor, limit, nothing } from '../schemas/fields.ts';
import { orderBody, ordersBody } from '../schemas/orders.ts';
import { addRoute } from '../server/add-route.ts';
import { orderJson } from '../views/views.ts';
import { ownOrder } from './lookups.ts';

const limitDefault = 20;
/** Streams are polled four times a second, and a lane that cannot be read is told of once in this time. */
const laneErrorEveryMs = 60_000;

export type OrderRouteOptions = {
  requireBuyer: Guards['requireBuyer'];
  orders: Pick<OrderService, 'peek' | 'view' | 'laneView' | 'listOf' | 'cancel'>;
  lanes: Pick<Lanes, 'find'>;
  streams: Streams;
  log: Log;
};

/** A buyer's own orders. Another buyer's order is answered like one that does not exist. */
export function orderRoutes(app: FastifyInstance, options: OrderRouteOptions): void {
  const { orders, lanes, streams, log, requireBuyer: onRequest } = options;
  const poller = openOrderPoller({
    lanes,
    orders,
    onError: (error) => log.warn({ err: error }, 'order poll of the live streams failed'),
    onLaneError: throttleLog((message) => log.warn(message), systemClock, laneErrorEveryMs),
  });

  addRoute(
    app,
    'GET /v1/orders',
    { contract: contracts.list, onRequest },
    async ({ buyer, query }, reply) => {
      const { limit = limitDefault, cursor } = query;
      const { rows, next } = await orders.listOf(buyer, { limit, cursor });
      reply.header('cache-control', 'no-store');
      return { orders: rows.map(orderJson), next };
    },
  );

  addRoute(
    app,
    'GET /v1/orders/:order',
    { contract: contracts.read, onRequest },
    async (request, reply) => {
      reply.header('cache-control', 'no-store');
      return orderJson(await ownOrder(orders.peek, request));
    },
  );

  addRoute(
    app,
    'GET /v1/orders/:order/stream',
    { contract: contracts.stream, onRequest, exposeHeadRoute: false },
    async (request, reply) => {
      const view = await ownOrder(orders.peek, request);
      const isSeen = request.headers['last-event-id'] === String(view.version);
      // 204 keeps an EventSource from reconnecting for an event that it already has.
      if (isSettled(view) && isSeen) return reply.code(204).send();
      const owner = { buyer: request.buyer };
      const stream = streams.open(reply, owner, (closed) => poller.leave(view.id, closed));
      if (stream) poller.follow(view, stream);
      return reply;
    },
  );

  addRoute(
    app,
    'POST /v1/orders/:order/cancel',
    { contract: contracts.cancel, onRequest },
    async (request) => {
      const view = await ownOrder(orders.peek, request);
      const result = await orders.cancel(view.id);
      if (result.kind === 'unknown') throw new Problem('unknown_order');
      if (result.kind === 'refused') throw new Problem('order_paid');
      return orderJson(result.order);
    },
  );
}

const contracts = {
  list: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'List your orders, newest first',
    description: 'A new order is listed once it is recorded, a moment after the Buy.',
    querystring: z.strictObject({ limit, cursor }),
    answers: { 200: { description: 'A page of orders', schema: ordersBody } },
    problems: ['overloaded'],
  }),
  read: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Get an order',
    answers: { 200: { description: 'The order', schema: orderBody } },
    problems: ['unknown_order', 'overloaded'],
  }),
  stream: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Follow an order live',
    description:
      'Server-sent events named `order`, each with the whole order. The stream ends when the order is no longer reserved.',
    answers: {
      200: { description: 'Events', mediaTypes: ['text/event-stream'] },
      204: { description: 'The order has ended and its last event was already delivered' },
    },
    cost: 2,
    problems: ['unknown_order', 'overloaded', 'streams_open'],
  }),
  cancel: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Cancel an order',
    description:
      'Releases the units of a reserved order. You can repeat the request. A paid order cannot be cancelled.',
    body: nothing,
    answers: { 200: { description: 'The order, released', schema: orderBody } },
    problems: ['unknown_order', 'order_paid', 'overloaded'],
  }),
};
