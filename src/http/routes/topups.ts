import { hash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { TopUpOrder } from '../../ledger/wallet/topups.ts';
import type { ClientAction } from '../../payments/provider.ts';
import { type Guards, requireKey } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { invalid, Problem } from '../problems/problems.ts';
import { schemaOf } from '../schemas/contract.ts';
import { minorUnits } from '../schemas/fields.ts';
import { topUpBody, topUpStateBody } from '../schemas/orders.ts';

/** Money into a buyer's wallet: through another provider, or in demo mode out of nowhere. */
export function topUpRoutes(app: FastifyInstance, deps: AppDeps, guards: Guards): void {
  const { accounts } = deps.ledger;
  const { topUps } = deps.services;
  const onRequest = guards.requireBuyer;

  app.post<{ Body: z.infer<typeof topUpBody> }>(
    '/v1/wallet/topups',
    { schema: schemas.start, onRequest },
    async (request, reply) => {
      const key = requireKey(request);
      const { method } = request.body;
      return method === undefined
        ? await give(request, reply, key)
        : await begin(request, reply, { key, method });
    },
  );

  app.get<{ Params: { topup: string } }>(
    '/v1/wallet/topups/:topup',
    { schema: schemas.read, onRequest },
    async (request, reply) => {
      const topUp = await topUps.find(request.buyer, request.params.topup);
      if (!topUp) throw new Problem('unknown_topup');
      reply.header('cache-control', 'no-store');
      return stateOf(topUp);
    },
  );

  async function give(
    { buyer, body }: FastifyRequest<{ Body: z.infer<typeof topUpBody> }>,
    reply: FastifyReply,
    key: string,
  ) {
    if (!deps.settings.demo) throw new Problem('topups_closed');
    const { amount, currency } = body;
    const reference = topUpReference(buyer, key);
    const result = await accounts.topUp({ buyer, currency, amount, reference });
    if (result.kind === 'reused') throw new Problem('idempotency_key_reused');
    reply.code(201);
    return { currency, amount: result.balance };
  }

  async function begin(
    request: FastifyRequest<{ Body: z.infer<typeof topUpBody> }>,
    reply: FastifyReply,
    { key, method }: { key: string; method: string },
  ) {
    const { amount, currency, method: _, ...wish } = request.body;
    const { buyer, ip } = request;
    const started = await topUps.start({
      buyer,
      amount,
      currency,
      key,
      method,
      wish: { ...wish, ip },
    });
    switch (started.kind) {
      case 'begun':
        reply.code(202).header('location', `/v1/wallet/topups/${started.topUp.id}`);
        return stateOf(started.topUp, started.action);
      case 'wish':
        throw invalid(started.field, started.reason);
      default:
        throw new Problem(refusals[started.kind]);
    }
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

function stateOf(
  { id, amount, currency, creditedAt }: TopUpOrder,
  action?: ClientAction,
): z.infer<typeof topUpStateBody> {
  const state = creditedAt === null ? 'open' : 'credited';
  return { id, state, amount, currency, ...(action ? { action } : {}) };
}

/** One key of one buyer is one top-up; the digest keeps other people's text out of references. */
export function topUpReference(buyer: string, key: string): string {
  return `topup_${hash('sha256', `${buyer}\0${key}`, 'base64url').slice(0, 22)}`;
}

const schemas = {
  start: schemaOf({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Add money to the wallet',
    description:
      'Paid by `method`, like an order; the money is in the wallet once the provider has it. Without `method` only in demo mode, where nobody pays for it.',
    body: topUpBody,
    idempotent: true,
    answers: {
      201: {
        description: 'The balance now, in demo mode',
        schema: z.strictObject({ currency: z.string(), amount: minorUnits }),
      },
      202: {
        description: 'Begun: what to do to pay, and where to look',
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
  read: schemaOf({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'A top-up',
    answers: { 200: { description: 'How it stands', schema: topUpStateBody } },
    problems: ['unknown_topup'],
  }),
};
