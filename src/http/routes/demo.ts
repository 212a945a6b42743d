import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { newId } from '../../domain/ids.ts';
import { isBuyerName, openSigner } from '../auth/buyers.ts';
import type { AppDeps } from '../deps.ts';
import { schemaOf } from '../schemas/contract.ts';
import { instant, iso } from '../schemas/fields.ts';
import { topUpReference } from './wallet.ts';

const lifetimeMs = 24 * 3_600_000;
const giftAmount = 1_000_000;
const giftCurrency = 'CNY';

const tokenBody = z
  .strictObject({
    sub: z.string().refine(isBuyerName, 'must be 1 to 128 printable ASCII characters').optional(),
    currency: z.string().length(3).default(giftCurrency),
  })
  .default({ currency: giftCurrency });

/** Demo mode alone has these: they let anybody be any buyer. */
export function demoRoutes(app: FastifyInstance, deps: AppDeps): void {
  const { tokens, ledger, clock } = deps;
  const sign = openSigner(tokens, clock.now);

  app.post<{ Body: z.infer<typeof tokenBody> }>(
    '/demo/tokens',
    { schema: tokenSchema },
    async (request, reply) => {
      const buyer = request.body.sub ?? newId('buyer');
      const { currency } = request.body;
      // Once per buyer, so that asking again for a token is no way to get rich.
      await ledger.accounts.topUp({
        buyer,
        currency,
        amount: giftAmount,
        reference: topUpReference(buyer, `welcome ${currency}`),
      });
      const expiresAt = clock.now() + lifetimeMs;
      reply.code(201).header('cache-control', 'no-store');
      return { sub: buyer, token: sign(buyer, lifetimeMs), expiresAt: iso(expiresAt) };
    },
  );
}

const tokenSchema = schemaOf({
  tag: 'Demo',
  summary: 'A buyer token, with money in the wallet',
  body: tokenBody,
  answers: {
    201: {
      description: 'Send it as Authorization: Bearer',
      schema: z.strictObject({ sub: z.string(), token: z.string(), expiresAt: instant }),
    },
  },
});
