import { hash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { AppDeps } from '../deps.ts';
import { type Guards, requireKey } from '../guards.ts';
import { passwordProblem, paymentPassword } from '../payment-password.ts';
import { invalid, Problem } from '../problems.ts';
import { schemaOf } from '../schemas/contract.ts';
import { currency, iso, limit, minorUnits } from '../schemas/fields.ts';
import { walletBody } from '../schemas/orders.ts';

const topUpMax = 1_000_000_000;
const limitDefault = 50;

const walletQuery = z.strictObject({
  currency: currency.optional(),
  limit,
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, 'must be `next` of the page before')
    .optional(),
});
const passwordBody = z.strictObject({
  password: paymentPassword,
  current: paymentPassword.optional().describe('The one that is set, when one is'),
});
const topUpBody = z.strictObject({ amount: z.int().min(1).max(topUpMax), currency });

/** The wallet that every buyer has by being one. */
export function walletRoutes(app: FastifyInstance, deps: AppDeps, guards: Guards): void {
  const { accounts, passwords } = deps.ledger;
  const onRequest = guards.requireBuyer;

  app.get<{ Querystring: z.output<typeof walletQuery> }>(
    '/v1/wallet',
    { schema: schemas.read, onRequest },
    async (request, reply): Promise<z.infer<typeof walletBody>> => {
      const { query, buyer } = request;
      reply.header('cache-control', 'no-store');
      const [owned, { set, lockedUntil }] = await Promise.all([
        accounts.ofOwner({ kind: 'buyer', owner: buyer }),
        passwords.state(buyer),
      ]);
      const shown = query.currency ?? owned[0]?.currency;
      const page = shown
        ? await accounts.entries(
            { kind: 'buyer', owner: buyer, currency: shown },
            {
              before: query.cursor === undefined ? undefined : Number(query.cursor),
              limit: query.limit ?? limitDefault,
            },
          )
        : { rows: [] };
      return {
        password: { set, ...(lockedUntil === undefined ? {} : { lockedUntil: iso(lockedUntil) }) },
        balances: owned.map((account) => ({ currency: account.currency, amount: account.balance })),
        ...(shown ? { currency: shown } : {}),
        entries: page.rows.map((entry) => ({ ...entry, at: iso(entry.at) })),
        ...(page.next === undefined ? {} : { next: String(page.next) }),
      };
    },
  );

  app.put<{ Body: z.infer<typeof passwordBody> }>(
    '/v1/wallet/password',
    { schema: schemas.password, onRequest },
    async (request, reply) => {
      const { body, buyer } = request;
      const result = await passwords.set({ buyer, ...body });
      switch (result.kind) {
        case 'done':
          return reply.code(204).send();
        case 'weak':
          throw invalid('password', 'is among the first that are guessed: choose another');
        case 'current_needed':
          throw invalid('current', 'is needed: a password is set already');
        default:
          throw passwordProblem(result);
      }
    },
  );

  app.post<{ Body: z.infer<typeof topUpBody> }>(
    '/v1/wallet/topups',
    { schema: schemas.topUp, onRequest },
    async (request, reply) => {
      const key = requireKey(request);
      if (!deps.settings.demo) throw new Problem('topups_closed');
      const { amount, currency } = request.body;
      const result = await accounts.topUp({
        buyer: request.buyer,
        currency,
        amount,
        reference: topUpReference(request.buyer, key),
      });
      if (result.kind === 'reused') throw new Problem('idempotency_key_reused');
      reply.code(201);
      return { currency, amount: result.balance };
    },
  );
}

/** One key of one buyer is one top-up; the digest keeps other people's text out of references. */
export function topUpReference(buyer: string, key: string): string {
  return `topup_${hash('sha256', `${buyer}\0${key}`, 'base64url').slice(0, 22)}`;
}

const schemas = {
  read: schemaOf({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Balances and entries',
    querystring: walletQuery,
    answers: { 200: { description: 'The wallet', schema: walletBody } },
  }),
  password: schemaOf({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Set or change the payment password',
    description: 'The first is set as it is sent; from then on `current` changes it.',
    body: passwordBody,
    answers: { 204: { description: 'It is set' } },
    problems: ['payment_password_wrong', 'payment_password_locked', 'overloaded'],
  }),
  topUp: schemaOf({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Add money to the wallet',
    description: 'In demo mode only.',
    body: topUpBody,
    idempotent: true,
    answers: {
      201: {
        description: 'The balance now',
        schema: z.strictObject({ currency: z.string(), amount: minorUnits }),
      },
    },
    problems: ['topups_closed', 'idempotency_key_reused'],
  }),
};
