import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { AdjustmentRefusal, AdjustStock } from '../../drops/adjustments.ts';
import type { Drops } from '../../ledger/drops.ts';
import type { MerchantActions } from '../../ledger/merchant-actions.ts';
import type { Orders } from '../../ledger/orders.ts';
import { type Guards, requireKey } from '../auth/guards.ts';
import { beginAlone, type Exclusive, endWith } from '../limits/exclusive.ts';
import { Problem } from '../problems/problems.ts';
import { contract } from '../schemas/contract.ts';
import { adjustedBody, adjustmentBody } from '../schemas/drops.ts';
import { cursor, limit } from '../schemas/fields.ts';
import { soldOrdersBody } from '../schemas/orders.ts';
import { addRoute } from '../server/add-route.ts';
import { ordersCsv } from '../views/csv.ts';
import { soldOrderJson } from '../views/views.ts';
import { dropOf, ownDrop } from './lookups.ts';

const limitDefault = 100;
const ordersQuery = z.strictObject({ limit, cursor, format: z.enum(['json', 'csv']).optional() });

export type SalesRouteOptions = {
  requireMerchant: Guards['requireMerchant'];
  adjustStock: AdjustStock;
  merchantActions: Pick<MerchantActions, 'record'>;
  drops: Pick<Drops, 'getOwned'>;
  orders: Pick<Orders, 'page' | 'stream'>;
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
      reply.header('cache-control', 'no-store');
      if (query.format === 'csv') {
        reply.header('content-type', 'text/csv; charset=utf-8; header=present');
        reply.header('content-disposition', `attachment; filename="${drop.id}.csv"`);
        const end = await beginAlone(exclusive, request.merchantId);
        const rows = Readable.from(ordersCsv(drop, orders.stream(drop.id)));
        return reply.send(endWith(rows, end));
      }
      const page = await orders.page({
        drop: drop.id,
        cursor: query.cursor,
        limit: query.limit ?? limitDefault,
      });
      return { orders: page.rows.map((order) => soldOrderJson(order, drop)), next: page.next };
    },
  );
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
    summary: 'List the orders of a drop, oldest first',
    description: 'With `format=csv`, sends all orders as one file.',
    querystring: ordersQuery,
    answers: {
      200: { description: 'A page of orders', schema: soldOrdersBody },
    },
    cost: 3,
    problems: ['unknown_drop', 'already_running'],
  }),
};
