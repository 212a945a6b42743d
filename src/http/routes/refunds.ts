import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import type { OrderService } from '../../checkout/orders.ts';
import type { Refunding, RefundRefusal, RefundService } from '../../checkout/refunds.ts';
import { type OrderId, placeOf } from '../../domain/ids.ts';
import type { Drops } from '../../ledger/drops.ts';
import type { MerchantActions } from '../../ledger/merchant-actions.ts';
import { isWithBuyer } from '../../ledger/payments/refunds.ts';
import { type Guards, requireKey } from '../auth/guards.ts';
import { Problem } from '../problems/problems.ts';
import { contract } from '../schemas/contract.ts';
import { refundBody, refundedBody } from '../schemas/orders.ts';
import { addRoute } from '../server/add-route.ts';
import { orderJson } from '../views/views.ts';
import { orderOf } from './lookups.ts';

export type RefundRouteOptions = {
  requireMerchant: Guards['requireMerchant'];
  drops: Pick<Drops, 'getOwned'>;
  orders: Pick<OrderService, 'view'>;
  refunds: RefundService;
  merchantActions: Pick<MerchantActions, 'record'>;
};

/** A merchant refunds an order, whole or in part. */
export function refundRoute(app: FastifyInstance, options: RefundRouteOptions): void {
  const { requireMerchant, drops, orders, refunds, merchantActions } = options;

  addRoute(
    app,
    'POST /v1/orders/:order/refund',
    { contract: refundContract, onRequest: requireMerchant },
    async (request, reply): Promise<z.infer<typeof refundedBody>> => {
      const { merchantId, actor, params, body } = request;
      const id = orderOf(params);
      const drop = await drops.getOwned(merchantId, placeOf(id).drop);
      if (!drop) throw new Problem('unknown_order');
      const { amount, reason = '', restock = true } = body ?? {};
      const result =
        amount === undefined
          ? await refunds.refund(id, reason, { restock })
          : await refunds.refundPart(id, {
              amount,
              reason,
              restock,
              merchantId,
              key: requireKey(request),
            });
      if (result.kind !== 'asked') throw refusalOf(result, id);
      await merchantActions.record(drop.id, {
        kind: 'refund',
        actor,
        subject: id,
        amount: amount ?? null,
        reason,
        key: amount === undefined ? '' : requireKey(request),
      });
      const view = await orders.view(result.order);
      if (!view) throw new Problem('unknown_order');
      // 202: the refund is decided and will be carried out; the order shows when it is done.
      reply.code(result.isDone ? 200 : 202);
      return refundedJson(orderJson(view), result.refund);
    },
  );
}

function refundedJson(
  order: ReturnType<typeof orderJson>,
  refund: Extract<Refunding, { kind: 'asked' }>['refund'],
): z.infer<typeof refundedBody> {
  if (!refund) return order;
  const { reference: id, amount } = refund;
  // One that was paid in another way is done: a client that read `failed` would ask for it again.
  const state = isWithBuyer(refund) ? 'done' : refund.state;
  return { ...order, refund: { id, amount, state } };
}

const refundUnknown =
  'Nothing was refunded now: an earlier refund of the order failed, and its provider does not tell whether it was made after all. Send the same request again after the stated time: nothing is refunded twice.';

function refusalOf(result: RefundRefusal, order: OrderId): Problem {
  switch (result.kind) {
    case 'unknown':
      return new Problem('unknown_order');
    case 'refused':
      return new Problem('order_not_paid', { state: result.order.state });
    case 'exceeds':
      return new Problem('refund_exceeds', { refundable: result.refundable });
    case 'reused':
      return new Problem('idempotency_key_reused');
    case 'unsure':
      return new Problem('outcome_unknown', { order, detail: refundUnknown });
  }
}

const refundContract = contract({
  tag: 'Merchants',
  who: 'merchant',
  summary: 'Refund a paid order, or a part of it',
  description:
    'Without `amount`, refunds all that is left and puts the units back on sale, or takes them out of the allotment with `restock: false`; repeated requests refund it once, and a refund that the provider refused or took back is asked for again, under a new reference, once the provider has confirmed that: until it answers, the request is refused with `outcome_unknown` and starts nothing. A partial refund needs an Idempotency-Key, is made once for each key, and leaves the order paid.',
  body: refundBody,
  answers: {
    200: { description: 'The order after the refund', schema: refundedBody },
    202: { description: 'The provider has not completed the refund yet', schema: refundedBody },
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
