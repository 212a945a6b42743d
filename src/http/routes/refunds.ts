import { hash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import type { Refunding } from '../../checkout/refunds.ts';
import { parseOrderId } from '../../domain/ids.ts';
import { type Guards, requireKey } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { Problem } from '../problems/problems.ts';
import { schemaOf } from '../schemas/contract.ts';
import { refundBody, refundedBody } from '../schemas/orders.ts';
import { orderJson } from '../views/views.ts';

/** A merchant gives the money of an order back, or a part of it. */
export function refundRoute(app: FastifyInstance, deps: AppDeps, guards: Guards): void {
  const { ledger } = deps;
  const { orders, refunds } = deps.services;

  app.post<{ Params: { order: string }; Body: z.output<typeof refundBody> }>(
    '/v1/orders/:order/refund',
    { schema, onRequest: guards.requireMerchant },
    async (request, reply): Promise<z.infer<typeof refundedBody>> => {
      const { merchantId, params, body } = request;
      const place = parseOrderId(params.order);
      const drop = place && (await ledger.drops.getOwned(merchantId, place.drop));
      if (!drop) throw new Problem('unknown_order');
      const { amount, reason = '' } = body ?? {};
      const result =
        amount === undefined
          ? await refunds.refund(params.order, reason)
          : await refunds.refundPart(params.order, {
              amount,
              reason,
              key: partKey(merchantId, requireKey(request)),
            });
      if (result.kind !== 'asked') throw refusalOf(result);
      const view = await orders.read(params.order);
      if (!view) throw new Problem('unknown_order');
      // Decided and under way: it is carried on with, and the order tells when it is done.
      reply.code(result.isDone ? 200 : 202);
      const { refund, order } = result;
      return {
        ...orderJson({ ...view, ...order }),
        ...(refund
          ? { refund: { id: refund.reference, amount: refund.amount, state: refund.state } }
          : {}),
      };
    },
  );
}

function refusalOf(result: Exclude<Refunding, { kind: 'asked' }>): Problem {
  switch (result.kind) {
    case 'unknown':
      return new Problem('unknown_order');
    case 'refused':
      return new Problem('order_not_paid', { state: result.order.state });
    case 'exceeds':
      return new Problem('refund_exceeds', { refundable: result.refundable });
    case 'reused':
      return new Problem('idempotency_key_reused');
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
