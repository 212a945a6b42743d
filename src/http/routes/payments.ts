import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import type { OrderView } from '../../checkout/order-view.ts';
import type { OrderService } from '../../checkout/orders.ts';
import type { Pay, PayResult } from '../../checkout/pay.ts';
import type { Guards } from '../auth/guards.ts';
import { invalid, Problem } from '../problems/problems.ts';
import type { ReturnUrls } from '../request/return-urls.ts';
import { wishOf } from '../request/wish.ts';
import { contract } from '../schemas/contract.ts';
import { iso } from '../schemas/fields.ts';
import { paymentBody, paymentStartBody } from '../schemas/orders.ts';
import { passwordProblem, passwordProblems } from '../schemas/payment-password.ts';
import { addRoute } from '../server/add-route.ts';
import { paymentJson } from '../views/views.ts';
import { ownOrder } from './lookups.ts';

export type PaymentRouteOptions = {
  requireBuyer: Guards['requireBuyer'];
  orders: Pick<OrderService, 'read'>;
  pay: Pay;
  returnUrls: ReturnUrls;
  /** 0 when the buyer may begin one more for this drop, else the milliseconds until then. */
  budget(buyer: string, drop: string): number;
};

/** How a buyer pays for an order. */
export function paymentRoute(app: FastifyInstance, options: PaymentRouteOptions): void {
  const { requireBuyer, orders, pay, returnUrls, budget } = options;

  addRoute(
    app,
    'POST /v1/orders/:order/payment',
    { contract: paymentContract, onRequest: requireBuyer },
    async (request, reply): Promise<z.infer<typeof paymentBody>> => {
      const view = await ownOrder(orders.read, request);
      reply.header('cache-control', 'no-store');
      if (!request.body) return paymentJson(view);
      const { method, password } = request.body;
      // The wallet is ours: no provider is called for it.
      const retryAfterMs = method === 'wallet' ? 0 : budget(request.buyer, view.drop);
      if (retryAfterMs > 0) throw new Problem('rate_limited', { retryAfterMs });
      const wish = wishOf(request, returnUrls);
      const result = await pay(view.id, { method, password, wish });
      if (result.kind !== 'begun') throw refusalOf(result, view);
      return begunJson(result, view);
    },
  );
}

function begunJson(
  { payment, action }: Extract<PayResult, { kind: 'begun' }>,
  { id }: OrderView,
): z.infer<typeof paymentBody> {
  const { provider, state, reason, payableUntil } = payment;
  return {
    order: id,
    method: provider,
    state,
    reason: reason === '' ? undefined : reason,
    payableUntil: payableUntil === null ? undefined : iso(payableUntil),
    action,
  };
}

const refusals = {
  unknown_order: 'unknown_order',
  not_offered: 'payment_method_not_offered',
  too_late: 'payment_time_over',
  too_many: 'payment_attempts_over',
  insufficient_funds: 'insufficient_funds',
  refused: 'payment_refused',
  password_needed: 'payment_password_needed',
} as const;

function refusalOf(result: Exclude<PayResult, { kind: 'begun' }>, { id }: OrderView): Problem {
  switch (result.kind) {
    case 'wish':
      return invalid(result.field, result.reason);
    case 'over':
      if (result.state === 'paid') return new Problem('order_paid');
      return new Problem('order_ended', { state: result.state });
    case 'password':
      return passwordProblem(result.check);
    case 'unknown':
      return new Problem('payment_unknown', { order: id });
    default:
      return new Problem(refusals[result.kind]);
  }
}

const paymentContract = contract({
  tag: 'Buyers',
  who: 'buyer',
  summary: 'Start or change the payment of an order',
  description:
    'Without a body, answers with the state of the payment and begins none. A repeated request continues the payment that was started. A request with another method closes that payment first, so that an order can never be paid in two ways.',
  body: paymentStartBody,
  cost: 5,
  answers: {
    200: { description: "The payment now, and what the buyer's client does", schema: paymentBody },
  },
  problems: [
    'unknown_order',
    'order_paid',
    'order_ended',
    'payment_time_over',
    'payment_method_not_offered',
    'payment_refused',
    'payment_attempts_over',
    'insufficient_funds',
    'payment_unknown',
    ...passwordProblems,
  ],
});
