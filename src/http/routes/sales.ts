import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Drop } from '../../domain/drop.ts';
import type { LedgerOrder } from '../../ledger/orders.ts';
import { type Guards, requireKey } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { Problem } from '../problems/problems.ts';
import { type Contract, schemaOf } from '../schemas/contract.ts';
import { adjustedBody, adjustmentBody } from '../schemas/drops.ts';
import { cursor, limit } from '../schemas/fields.ts';
import { soldOrdersBody } from '../schemas/orders.ts';
import { ordersCsv } from '../views/csv.ts';
import { orderJson } from '../views/views.ts';
import { ownDrop } from './drops.ts';

const limitDefault = 100;
const ordersQuery = z.strictObject({ limit, cursor, format: z.enum(['json', 'csv']).optional() });

type DropPath = { Params: { drop: string } };
type ItemPath = { Params: { drop: string; sku: string }; Body: z.infer<typeof adjustmentBody> };

/** A merchant's sales: stock edits, orders, export. */
export function salesRoutes(app: FastifyInstance, deps: AppDeps, guards: Guards): void {
  const { ledger, services } = deps;
  const onRequest = guards.requireMerchant;

  app.post<ItemPath>(
    '/v1/drops/:drop/items/:sku/adjustments',
    { schema: schemas.adjust, onRequest },
    async (request) => {
      const { merchantId, params, body } = request;
      const { drop, sku } = params;
      const key = requireKey(request);
      const result = await services.adjustStock({ merchantId, drop, sku, key, ...body });
      switch (result.kind) {
        case 'adjusted':
          return { sku, ...result.figures };
        case 'unknown_drop':
        case 'unknown_item':
          throw new Problem(result.kind);
        case 'stock_taken':
          throw new Problem('stock_taken', { available: result.available });
        case 'allotment_over':
          throw new Problem('allotment_over', { allotment: result.allotment });
        case 'key_reused':
          throw new Problem('idempotency_key_reused');
        case 'ended':
          throw new Problem('drop_ended');
        case 'frozen':
          throw new Problem('drop_frozen');
        case 'refused':
          throw new Problem('drop_action_refused', { state: result.state });
      }
    },
  );

  app.get<DropPath & { Querystring: z.output<typeof ordersQuery> }>(
    '/v1/drops/:drop/orders',
    { schema: schemas.list, onRequest, exposeHeadRoute: false },
    async (request, reply) => {
      const { query } = request;
      const drop = await ownDrop(deps, request);
      reply.header('cache-control', 'no-store');
      if (query.format === 'csv') {
        reply.header('content-type', 'text/csv; charset=utf-8; header=present');
        reply.header('content-disposition', `attachment; filename="${drop.id}.csv"`);
        return reply.send(Readable.from(ordersCsv(drop, ledger.orders.stream(drop.id))));
      }
      const page = await ledger.orders.page({
        drop: drop.id,
        cursor: query.cursor,
        limit: query.limit ?? limitDefault,
      });
      return {
        orders: page.rows.map((order) => soldOrder(order, drop)),
        ...(page.next === undefined ? {} : { next: page.next }),
      };
    },
  );
}

function soldOrder(order: LedgerOrder, drop: Drop) {
  const sku = drop.items[order.item]?.sku ?? '';
  const { paidAt, releasedAt, refundedAt } = order;
  const view = {
    ...order,
    sku,
    currency: drop.currency,
    paidAt: paidAt ?? undefined,
    releasedAt: releasedAt ?? undefined,
    refundedAt: refundedAt ?? undefined,
  };
  // The words are for the buyer, and tell of the payment, which is not read for a list.
  const { reasonText: _, ...row } = orderJson(view);
  return { ...row, buyer: order.buyer, lane: order.lane };
}

const merchant: Pick<Contract, 'tag' | 'who'> = { tag: 'Merchants', who: 'merchant' };

const schemas = {
  adjust: schemaOf({
    ...merchant,
    summary: 'Change the stock of an item, also while it sells',
    description:
      'Adds `delta` units, or takes free ones away: never units that are held or sold. The same Idempotency-Key changes it once.',
    body: adjustmentBody,
    idempotent: true,
    answers: { 200: { description: "The item's figures after it", schema: adjustedBody } },
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
  list: schemaOf({
    ...merchant,
    summary: 'Orders of a drop, oldest first',
    description: 'With `format=csv` all of them as one file, sent as it is read.',
    querystring: ordersQuery,
    answers: {
      200: { description: 'A page of orders', schema: soldOrdersBody },
    },
    problems: ['unknown_drop'],
  }),
};
