import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Drop } from '../../domain/drop.ts';
import { placeOf } from '../../domain/ids.ts';
import type { AdjustmentRefusal, AdjustStock } from '../../drops/adjustments.ts';
import type { Drops } from '../../ledger/drops.ts';
import type { MerchantActions } from '../../ledger/merchant-actions.ts';
import { isSearch, type OrderFilter } from '../../ledger/order-filter.ts';
import type { Orders } from '../../ledger/orders.ts';
import { type Guards, requireKey } from '../auth/guards.ts';
import { beginAlone, type Exclusive, endWith, runInTurn } from '../limits/exclusive.ts';
import { invalid, Problem } from '../problems/problems.ts';
import { contract } from '../schemas/contract.ts';
import { adjustedBody, adjustmentBody } from '../schemas/drops.ts';
import { cursor, instant, limit, orderState, plainText, sku } from '../schemas/fields.ts';
import { paymentMethod, soldOrderBody, soldOrdersBody } from '../schemas/orders.ts';
import { addRoute } from '../server/add-route.ts';
import { allowSilence, exportMsMax } from '../server/long-answer.ts';
import { ordersCsv } from '../views/csv.ts';
import { soldOrderJson } from '../views/views.ts';
import { dropOf, orderOf, ownDrop } from './lookups.ts';

const limitDefault = 100;
const ordersQuery = z.strictObject({
  limit,
  cursor,
  format: z.enum(['json', 'csv']).optional(),
  q: plainText(500)
    .optional()
    .describe(
      'An order id, a payment reference, a buyer, or a text of the metadata of orders; whole and exact',
    ),
  state: orderState.optional(),
  sku: sku.optional(),
  method: paymentMethod.optional(),
  since: instant.optional().describe('Reserved at this time or later'),
  until: instant.optional().describe('Reserved before this time'),
});

export type SalesRouteOptions = {
  requireMerchant: Guards['requireMerchant'];
  adjustStock: AdjustStock;
  merchantActions: Pick<MerchantActions, 'record'>;
  drops: Pick<Drops, 'getOwned'>;
  orders: Pick<Orders, 'page' | 'stream' | 'receipts'>;
  exclusive: Exclusive;
};

/** A merchant's sales: stock adjustments, orders, export. */
export function salesRoutes(app: FastifyInstance, options: SalesRouteOptions): void {
  const { adjustStock, merchantActions, drops, orders, exclusive } = options;
  const { requireMerchant: onRequest } = options;

  addRoute(
    app,
    'POST /v1/drops/:drop/items/:sku/adjustments',
    { contract: contracts.adjust, onRequest },
    async (request) => {
      const { merchantId, actor, params, body } = request;
      const { sku } = params;
      const key = requireKey(request);
      const drop = dropOf(params);
      const result = await adjustStock({ merchantId, drop, sku, key, ...body });
      if (result.kind !== 'adjusted') throw refusalOf(result);
      const { delta: amount, reason } = body;
      const action = { kind: 'adjustment', actor, subject: sku, amount, reason, key } as const;
      await merchantActions.record(drop, action);
      return { sku, ...result.figures };
    },
  );

  addRoute(
    app,
    'GET /v1/drops/:drop/orders',
    { contract: contracts.list, onRequest, exposeHeadRoute: false },
    async (request, reply) => {
      const { query } = request;
      const drop = await ownDrop(drops, request);
      const filter = filterOf(query, drop);
      reply.header('cache-control', 'no-store');
      if (query.format === 'csv') {
        const end = await beginAlone(exclusive, request.merchantId);
        reply.header('content-type', 'text/csv; charset=utf-8; header=present');
        reply.header('content-disposition', `attachment; filename="${drop.id}.csv"`);
        allowSilence(reply, exportMsMax);
        const rows = Readable.from(ordersCsv(drop, orders.stream(drop.id, filter)));
        return reply.send(endWith(rows, end));
      }
      const read = () =>
        orders.page({
          drop: drop.id,
          filter,
          cursor: query.cursor,
          limit: query.limit ?? limitDefault,
        });
      const page = isSearch(filter)
        ? await runInTurn(exclusive, `search:${request.merchantId}`, read)
        : await read();
      return { orders: page.rows.map((order) => soldOrderJson(order, drop)), next: page.next };
    },
  );

  addRoute(
    app,
    'GET /v1/drops/:drop/orders/:order',
    { contract: contracts.read, onRequest },
    async (request, reply) => {
      const drop = await ownDrop(drops, request);
      const id = orderOf(request.params);
      const [order] = placeOf(id).drop === drop.id ? await orders.receipts([id]) : [];
      if (!order) throw new Problem('unknown_order');
      reply.header('cache-control', 'no-store');
      return soldOrderJson(order, drop);
    },
  );
}

/** @throws Problem invalid_request when the drop has no such item */
function filterOf(query: z.output<typeof ordersQuery>, { items }: Drop): OrderFilter {
  const { q, state, sku, method, since, until } = query;
  const item = items.findIndex((candidate) => candidate.sku === sku);
  if (sku !== undefined && item < 0) throw invalid('sku', 'is not an item of this drop');
  return {
    q,
    state,
    method,
    item: sku === undefined ? undefined : item,
    since: since === undefined ? undefined : Date.parse(since),
    until: until === undefined ? undefined : Date.parse(until),
  };
}

function refusalOf(result: AdjustmentRefusal): Problem {
  switch (result.kind) {
    case 'unknown_drop':
    case 'unknown_item':
      return new Problem(result.kind);
    case 'stock_taken':
      return new Problem('stock_taken', { available: result.available });
    case 'allotment_over':
      return new Problem('allotment_over', { allotment: result.allotment });
    case 'key_reused':
      return new Problem('idempotency_key_reused');
    case 'ended':
      return new Problem('drop_ended');
    case 'frozen':
      return new Problem('drop_frozen');
    case 'refused':
      return new Problem('drop_action_refused', { state: result.state });
  }
}

const contracts = {
  adjust: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'Change the stock of an item, also while it sells',
    description:
      'Adds `delta` units, or removes free ones when it is negative. Units that are held or sold are never removed. The same Idempotency-Key changes the stock once.',
    body: adjustmentBody,
    idempotent: true,
    answers: { 200: { description: "The item's units after the change", schema: adjustedBody } },
    problems: [
      'unknown_drop',
      'unknown_item',
      'stock_taken',
      'allotment_over',
      'drop_action_refused',
      'drop_frozen',
      'drop_ended',
      'idempotency_key_reused',
    ],
  }),
  list: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'List or search the orders of a drop, oldest first',
    description:
      'The filters may be combined. A merchant has one search at a time, and half of the time. With `format=csv`, sends all orders that they leave as one file.',
    querystring: ordersQuery,
    answers: {
      200: { description: 'A page of orders', schema: soldOrdersBody },
    },
    cost: ({ q }) => (q === undefined ? 3 : 10),
    problems: ['unknown_drop', 'already_running'],
  }),
  read: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'Get an order of your drop',
    answers: { 200: { description: 'The order', schema: soldOrderBody } },
    problems: ['unknown_drop', 'unknown_order'],
  }),
};
