import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Accounts } from '../../ledger/wallet/accounts.ts';
import type { EntryPlace } from '../../ledger/wallet/entries.ts';
import type { WalletPasswords } from '../../ledger/wallet/passwords.ts';
import type { Log } from '../../log.ts';
import type { Guards } from '../auth/guards.ts';
import { beginAlone, type Exclusive, endWith } from '../limits/exclusive.ts';
import { invalid } from '../problems/problems.ts';
import { contract } from '../schemas/contract.ts';
import { currency, iso, limit } from '../schemas/fields.ts';
import { walletBody } from '../schemas/orders.ts';
import { passwordProblem, paymentPassword } from '../schemas/payment-password.ts';
import { addRoute } from '../server/add-route.ts';
import { allowSilence, exportMsMax } from '../server/long-answer.ts';
import { statementBody, statementFile } from '../views/statements.ts';

const limitDefault = 50;

const walletQuery = z.strictObject({
  currency: currency.optional(),
  limit,
  cursor: z
    .string()
    .regex(/^\d{1,15}\.\d{1,15}$/, 'must be `next` of the previous page')
    .transform(placeOf)
    .optional(),
});
const statementQuery = z.strictObject({ currency, format: z.enum(['json', 'csv']).optional() });
const passwordBody = z.strictObject({
  password: paymentPassword,
  current: paymentPassword.optional().describe('The password that is set now, if there is one'),
});

export type WalletRouteOptions = {
  requireBuyer: Guards['requireBuyer'];
  accounts: Pick<Accounts, 'ofBuyer' | 'entries' | 'statement'>;
  passwords: Pick<WalletPasswords, 'state' | 'set'>;
  exclusive: Exclusive;
  log: Log;
};

/** A buyer's wallet. It needs no sign-up: every buyer has one. */
export function walletRoutes(app: FastifyInstance, options: WalletRouteOptions): void {
  const { accounts, passwords, exclusive, log, requireBuyer: onRequest } = options;

  addRoute(
    app,
    'GET /v1/wallet',
    { contract: contracts.read, onRequest },
    async (request, reply): Promise<z.infer<typeof walletBody>> => {
      const { query, buyer } = request;
      reply.header('cache-control', 'no-store');
      const [owned, { set, lockedUntil }] = await Promise.all([
        accounts.ofBuyer(buyer),
        passwords.state(buyer),
      ]);
      const shown = query.currency ?? owned[0]?.currency;
      const page =
        shown === undefined
          ? { rows: [] }
          : await accounts.entries(
              { kind: 'buyer', owner: buyer, currency: shown },
              { before: query.cursor, limit: query.limit ?? limitDefault },
            );
      return {
        password: { set, lockedUntil: lockedUntil === undefined ? undefined : iso(lockedUntil) },
        balances: owned.map((account) => ({ currency: account.currency, amount: account.balance })),
        currency: shown,
        entries: page.rows.map((entry) => ({ ...entry, at: iso(entry.at) })),
        next: page.next && cursorOf(page.next),
      };
    },
  );

  addRoute(
    app,
    'GET /v1/wallet/statement',
    { contract: contracts.statement, onRequest, exposeHeadRoute: false },
    async (request, reply) => {
      const { buyer, query } = request;
      const { currency, format = 'json' } = query;
      const end = await beginAlone(exclusive, `statement:${buyer}`);
      allowSilence(reply, exportMsMax);
      const statement = await accounts
        .statement({ kind: 'buyer', owner: buyer, currency })
        .catch((error: Error) => {
          end();
          throw error;
        });
      const { type, name, body } = statementFile(statement, { currency, format });
      // The status has been sent by then, so the answer can only break off: the log says why.
      endWith(body, end);
      body.on('error', (err) => log.error({ err }, 'statement download broke off'));
      reply.header('cache-control', 'no-store').header('content-type', type);
      reply.header('content-disposition', `attachment; filename="${name}"`);
      return reply.send(body);
    },
  );

  addRoute(
    app,
    'PUT /v1/wallet/password',
    { contract: contracts.password, onRequest },
    async ({ body, buyer }, reply) => {
      const result = await passwords.set({ buyer, ...body });
      switch (result.kind) {
        case 'done':
          return reply.code(204).send();
        case 'weak':
          throw invalid('password', 'is easy to guess: choose another');
        case 'current_needed':
          throw invalid('current', 'is required: a password is already set');
        default:
          throw passwordProblem(result);
      }
    },
  );
}

/** A cursor carries the balance at its place: summing it anew would read all newer entries. */
function cursorOf({ id, balance }: EntryPlace): string {
  return `${id}.${balance}`;
}

function placeOf(cursor: string): EntryPlace {
  const [id = 0, balance = 0] = cursor.split('.').map(Number);
  return { id, balance };
}

const contracts = {
  read: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Get balances and entries',
    querystring: walletQuery,
    answers: { 200: { description: 'The wallet', schema: walletBody } },
  }),
  statement: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Download every entry, oldest first, with the balance after it',
    description:
      'One file: JSON, or CSV with `format=csv`. Entries made after the request are not in it.',
    querystring: statementQuery,
    cost: 30,
    problems: ['already_running'],
    answers: {
      200: { description: 'The statement', schema: statementBody },
    },
  }),
  password: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Set or change the payment password',
    description: 'The first password is set as sent; after that, a change needs `current`.',
    body: passwordBody,
    cost: 30,
    answers: { 204: { description: 'The password is set' } },
    problems: [
      'payment_password_wrong',
      'payment_password_locked',
      'payment_password_busy',
      'overloaded',
    ],
  }),
};
