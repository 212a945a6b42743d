import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Gifts } from '../../checkout/gifts.ts';
import type { TopUpService, TopUpStarted } from '../../checkout/topups.ts';
import type { TopUpOrder } from '../../ledger/wallet/topups.ts';
import type { ClientAction } from '../../payments/provider.ts';
import { type Guards, requireKey } from '../auth/guards.ts';
import { invalid, Problem } from '../problems/problems.ts';
import type { ReturnUrls } from '../request/return-urls.ts';
import { wishOf } from '../request/wish.ts';
import { contract } from '../schemas/contract.ts';
import { minorUnits } from '../schemas/fields.ts';
import { topUpBody, topUpStateBody } from '../schemas/orders.ts';
import { addRoute } from '../server/add-route.ts';

export type TopUpRouteOptions = {
  requireBuyer: Guards['requireBuyer'];
  topUps: Pick<TopUpService, 'start' | 'find'>;
  returnUrls: ReturnUrls;
  /** Undefined outside demo mode: then nothing is added that was not paid. */
  gifts: Pick<Gifts, 'give'> | undefined;
  /** 0 when the buyer may begin one more, else the milliseconds until then. */
  budget(buyer: string, payable: string): number;
};

/** Money into a buyer's wallet: paid with another provider, or free in demo mode. */
export function topUpRoutes(app: FastifyInstance, options: TopUpRouteOptions): void {
  const { topUps, returnUrls, gifts, budget, requireBuyer: onRequest } = options;

  addRoute(
    app,
    'POST /v1/wallet/topups',
    { contract: contracts.start, onRequest },
    async (request, reply) => {
      const key = requireKey(request);
      const { buyer } = request;
      const { amount, currency, method } = request.body;
      if (method === undefined) return await give({ buyer, amount, currency, key }, reply);
      const retryAfterMs = budget(buyer, 'topup');
      if (retryAfterMs > 0) throw new Problem('rate_limited', { retryAfterMs });
      const wish = wishOf(request, returnUrls);
      const paid = { buyer, amount, currency, key, method, wish };
      const started = await topUps.start(paid);
      if (started.kind !== 'begun') throw refusalOf(started);
      reply.code(202).header('location', `/v1/wallet/topups/${started.topUp.id}`);
      return topUpJson(started.topUp, started.action);
    },
  );

  addRoute(
    app,
    'GET /v1/wallet/topups/:topup',
    { contract: contracts.read, onRequest },
    async (request, reply) => {
      const topUp = await topUps.find(request.buyer, request.params.topup);
      if (!topUp) throw new Problem('unknown_topup');
      reply.header('cache-control', 'no-store');
      return topUpJson(topUp);
    },
  );

  async function give(gift: Parameters<Gifts['give']>[0], reply: FastifyReply) {
    if (!gifts) throw new Problem('topups_closed');
    const result = await gifts.give(gift);
    if (result.kind === 'reused') throw new Problem('idempotency_key_reused');
    reply.code(201);
    return { currency: gift.currency, amount: result.balance };
  }
}

const refusals = {
  not_offered: 'payment_method_not_offered',
  reused: 'idempotency_key_reused',
  refused: 'payment_refused',
  unknown: 'payment_unknown',
  too_late: 'payment_time_over',
  too_many: 'topups_open',
} as const;

function refusalOf(started: Exclude<TopUpStarted, { kind: 'begun' }>): Problem {
  if (started.kind === 'wish') return invalid(started.field, started.reason);
  return new Problem(refusals[started.kind]);
}

function topUpJson(
  { id, amount, currency, creditedAt }: TopUpOrder,
  action?: ClientAction,
): z.infer<typeof topUpStateBody> {
  return { id, state: creditedAt === null ? 'open' : 'credited', amount, currency, action };
}

const contracts = {
  start: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Add money to the wallet',
    description:
      'Paid with `method`, like an order; the wallet is credited when the provider has captured the money. Without `method` the money is free, which only demo mode allows.',
    body: topUpBody,
    cost: 5,
    idempotent: true,
    answers: {
      201: {
        description: 'The balance now, in demo mode',
        schema: z.strictObject({ currency: z.string(), amount: minorUnits }),
      },
      202: {
        description: 'The payment was started: what to do to pay',
        schema: topUpStateBody,
        headers: { Location: 'The top-up' },
      },
    },
    problems: [
      'topups_closed',
      'idempotency_key_reused',
      'payment_method_not_offered',
      'payment_refused',
      'payment_time_over',
      'payment_unknown',
      'topups_open',
    ],
  }),
  read: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Get a top-up',
    answers: { 200: { description: 'The top-up', schema: topUpStateBody } },
    problems: ['unknown_topup'],
  }),
};
