import { hash } from 'node:crypto';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { z } from 'zod';
import { parseOrderId } from '../../domain/ids.ts';
import type { OrderDesk, OrderView } from '../../settlement/orders.ts';
import type { AppDeps } from '../deps.ts';
import { type Guards, requireKey } from '../guards.ts';
import { Problem } from '../problems.ts';
import { schemaOf } from '../schemas/contract.ts';
import { refundBody, refundedBody } from '../schemas/orders.ts';
import { orderJson } from '../views.ts';

/** A merchant gives the money of an order back, or a part of it. */
export function refundRoute(app: FastifyInstance, deps: AppDeps, guards: Guards): void {
  const { ledger } = deps;
  const { orders } = deps.settlement;

  app.post<{ Params: { order: string }; Body: z.output<typeof refundBody> }>(
    '/v1/orders/:order/refund',
    { schema, onRequest: guards.requireMerchant },
    async (request, reply) => {
      const { merchantId, params, body } = request;
      const place = parseOrderId(params.order);
      const drop = place && (await ledger.drops.getOwned(merchantId, place.drop));
      const view = drop && (await orders.read(params.order));
      if (!view) throw new Problem('unknown_order');
      if (body?.amount !== undefined) {
        const key = requireKey(request);
        const part = { amount: body.amount, key: partKey(merchantId, key), reason: body.reason };
        return await refundPart(view, part, reply);
      }
      const result = await orders.refund(view.id).catch((error: unknown) => {
        // Decided and under way: it is carried on with, and the order tells when it is done.
        deps.log.warn({ err: error, order: view.id }, 'a refund goes on in the background');
        throw new Problem('outcome_unknown', { order: view.id });
      });
      if (result.kind === 'unknown') throw new Problem('unknown_order');
      if (result.kind === 'refused') {
        throw new Problem('order_not_paid', { state: result.order.state });
      }
      return orderJson({ ...view, ...result.order });
    },
  );

  async function refundPart(
    view: OrderView,
    part: Parameters<OrderDesk['refundPart']>[1],
    reply: FastifyReply,
  ): Promise<z.infer<typeof refundedBody>> {
    const result = await orders.refundPart(view.id, part);
    switch (result.kind) {
      case 'unknown':
        throw new Problem('unknown_order');
      case 'refused':
        throw new Problem('order_not_paid', { state: result.order.state });
      case 'exceeds':
        throw new Problem('refund_exceeds', { refundable: result.refundable });
      case 'reused':
        throw new Problem('idempotency_key_reused');
      case 'asked': {
        const { reference, amount, state } = result.refund;
        if (state !== 'done') reply.code(202);
        const now = (await orders.read(view.id)) ?? view;
        return {
          ...orderJson({ ...now, ...result.order }),
          refund: { id: reference, amount, state },
        };
      }
    }
  }
}

/** One key of one merchant is one refund; the digest keeps other people's text out of the ledger. */
function partKey(merchantId: string, key: string): string {
  return hash('sha256', `${merchantId}\0${key}`, 'base64url');
}

const schema = schemaOf({
  tag: 'Merchants',
  who: 'merchant',
  summary: 'Refund a paid order, or a part of it',
  body: refundBody,
  description:
    'Without `amount` all that is left is given back, once, however often it is asked for, and the units are on sale again. A part needs an Idempotency-Key, which gives it back once, and leaves the order paid.',
  answers: {
    200: { description: 'The order as it is now', schema: refundedBody },
    202: { description: 'Asked for: the provider has not said yet', schema: refundedBody },
  },
  problems: [
    'unknown_order',
    'order_not_paid',
    'refund_exceeds',
    'idempotency_key_missing',
    'idempotency_key_reused',
    'outcome_unknown',
  ],
});
