import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { EntryPlace } from '../../ledger/wallet/entries.ts';
import type { Guards } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { invalid } from '../problems/problems.ts';
import { schemaOf } from '../schemas/contract.ts';
import { currency, iso, limit } from '../schemas/fields.ts';
import { walletBody } from '../schemas/orders.ts';
import { passwordProblem, paymentPassword } from '../schemas/payment-password.ts';
import { statementBody, statementFile } from '../views/statements.ts';

const limitDefault = 50;

const walletQuery = z.strictObject({
  currency: currency.optional(),
  limit,
  cursor: z
    .string()
    .regex(/^\d{1,15}\.\d{1,15}$/, 'must be `next` of the page before')
    .transform(placeOf)
    .optional(),
});
const statementQuery = z.strictObject({ currency, format: z.enum(['json', 'csv']).optional() });
const passwordBody = z.strictObject({
  password: paymentPassword,
  current: paymentPassword.optional().describe('The one that is set, when one is'),
});

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
        accounts.ofBuyer(buyer),
        passwords.state(buyer),
      ]);
      const shown = query.currency ?? owned[0]?.currency;
      const page = shown
        ? await accounts.entries(
            { kind: 'buyer', owner: buyer, currency: shown },
            { before: query.cursor, limit: query.limit ?? limitDefault },
          )
        : { rows: [] };
      return {
        password: { set, ...(lockedUntil === undefined ? {} : { lockedUntil: iso(lockedUntil) }) },
        balances: owned.map((account) => ({ currency: account.currency, amount: account.balance })),
        ...(shown ? { currency: shown } : {}),
        entries: page.rows.map((entry) => ({ ...entry, at: iso(entry.at) })),
        ...(page.next ? { next: cursorOf(page.next) } : {}),
      };
    },
  );

  app.get<{ Querystring: z.output<typeof statementQuery> }>(
    '/v1/wallet/statement',
    { schema: schemas.statement, onRequest, exposeHeadRoute: false },
    async (request, reply) => {
      const { buyer, query } = request;
      const { currency, format = 'json' } = query;
      const statement = await accounts.statement({ kind: 'buyer', owner: buyer, currency });
      const { type, name, body } = statementFile(statement, { currency, format });
      // The answer has begun by then, and breaks off; only the log can say why.
      body.on('error', (err) => deps.log.error({ err }, 'a statement broke off'));
      reply.header('cache-control', 'no-store').header('content-type', type);
      reply.header('content-disposition', `attachment; filename="${name}"`);
      return reply.send(body);
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
}

/** A cursor carries the balance at its place: counting it anew would read all that is newer. */
function cursorOf({ id, balance }: EntryPlace): string {
  return `${id}.${balance}`;
}

function placeOf(cursor: string): EntryPlace {
  const [id, balance] = cursor.split('.').map(Number);
  return { id: id as number, balance: balance as number };
}

const schemas = {
  read: schemaOf({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Balances and entries',
    querystring: walletQuery,
    answers: { 200: { description: 'The wallet', schema: walletBody } },
  }),
  statement: schemaOf({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Every entry, oldest first, with the balance after it',
    description:
      'One file, sent as it is read: JSON, or CSV with `format=csv`. What moves after it was asked for is not in it.',
    querystring: statementQuery,
    answers: {
      200: { description: 'The statement', schema: statementBody },
    },
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
};
