import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import type { OrderView } from '../../checkout/orders.ts';
import type { PayResult } from '../../checkout/pay.ts';
import type { Guards } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { invalid, Problem } from '../problems/problems.ts';
import { schemaOf } from '../schemas/contract.ts';
import { iso } from '../schemas/fields.ts';
import { paymentBody, paymentStartBody } from '../schemas/orders.ts';
import { passwordProblem, passwordProblems } from '../schemas/payment-password.ts';
import { paymentJson } from '../views/views.ts';

type PaymentRequest = {
  Params: { order: string };
  Body: z.output<typeof paymentStartBody>;
};

/** How a buyer pays for an order. */
export function paymentRoute(
  app: FastifyInstance,
  deps: AppDeps,
  guards: Guards,
  ownOrder: (request: { buyer: string; params: { order: string } }) => Promise<OrderView>,
): void {
  const { pay } = deps.services;

  app.post<PaymentRequest>(
    '/v1/orders/:order/payment',
    { schema, onRequest: guards.requireBuyer },
    async (request, reply): Promise<z.infer<typeof paymentBody>> => {
      const view = await ownOrder(request);
      reply.header('cache-control', 'no-store');
      if (!request.body) return paymentJson(view);
      const { method, password, ...wish } = request.body;
      const paying = await pay(view.id, {
        method,
        password,
        wish: { ...wish, ip: request.ip },
      });
      if (paying.kind !== 'begun') throw await refusalOf(paying, { deps, view });
      return begunJson(paying, view);
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
    ...(reason === '' ? {} : { reason }),
    ...(payableUntil === null ? {} : { payableUntil: iso(payableUntil) }),
    ...(action ? { action } : {}),
  };
}

const refusals = {
  unknown_order: 'unknown_order',
  not_offered: 'payment_method_not_offered',
  too_late: 'payment_time_over',
  too_many: 'payment_attempts_over',
  insufficient_funds: 'insufficient_funds',
  refused: 'payment_refused',
} as const;

async function refusalOf(
  paying: Exclude<PayResult, { kind: 'begun' }>,
  { deps, view }: { deps: AppDeps; view: OrderView },
): Promise<Problem> {
  switch (paying.kind) {
    case 'wish':
      return invalid(paying.field, paying.reason);
    case 'over':
      if (paying.state === 'paid') return new Problem('order_paid');
      return new Problem('order_ended', { state: paying.state });
    case 'password':
      return passwordProblem(paying.check);
    case 'password_needed': {
      const { set } = await deps.ledger.passwords.state(view.buyer);
      return new Problem(set ? 'payment_password_needed' : 'payment_password_not_set');
    }
    case 'unknown':
      return new Problem('payment_unknown', { order: view.id });
    default:
      return new Problem(refusals[paying.kind]);
  }
}

const schema = schemaOf({
  tag: 'Buyers',
  who: 'buyer',
  summary: 'Start or change the payment of an order',
  description:
    'Without a body it tells how the payment stands. Asked again, it goes on with what was begun; with another method it closes that first, so that an order is never payable in two ways.',
  body: paymentStartBody,
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
