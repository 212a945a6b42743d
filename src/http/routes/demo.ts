import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { newId } from '../../domain/ids.ts';
import { isBuyerName, openSigner } from '../auth/buyers.ts';
import type { AppDeps } from '../deps.ts';
import { schemaOf } from '../schemas/contract.ts';
import { currency, instant, iso, minorUnits } from '../schemas/fields.ts';
import { topUpReference } from './topups.ts';

const lifetimeMs = 24 * 3_600_000;
const giftAmount = 1_000_000;
const statementsBytesMax = 262_144;
const giftCurrency = 'CNY';

const giftedCurrency = currency.default(giftCurrency);
const buyerName = z.string().refine(isBuyerName, 'must be 1 to 128 printable ASCII characters');

const tokenBody = z
  .strictObject({ sub: buyerName.optional(), currency: giftedCurrency })
  .default({ currency: giftCurrency });

const crowdBody = z.strictObject({
  prefix: buyerName.max(64).describe('The buyers are named by it and a number from 0'),
  count: z.int().min(1).max(1_000),
  currency: giftedCurrency,
  amount: z.int().min(0).max(giftAmount).default(giftAmount).describe('In each wallet'),
});

const statementsBody = z.strictObject({ buyers: z.array(buyerName).min(1).max(1_000) });

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
      const [minted] = await mint([buyer], { currency, amount: giftAmount });
      reply.code(201).header('cache-control', 'no-store');
      return minted;
    },
  );

  app.post<{ Body: z.infer<typeof crowdBody> }>(
    '/demo/crowds',
    { schema: crowdSchema },
    async (request, reply) => {
      const { prefix, count, ...gift } = request.body;
      const buyers = Array.from({ length: count }, (_, n) => `${prefix}${n}`);
      const tokens = await mint(buyers, gift);
      reply.code(201).header('cache-control', 'no-store');
      return { tokens };
    },
  );

  app.post<{ Body: z.infer<typeof statementsBody> }>(
    '/demo/statements',
    { schema: statementsSchema, bodyLimit: statementsBytesMax },
    async (request, reply) => {
      reply.header('cache-control', 'no-store');
      return { movements: await ledger.accounts.statements(request.body.buyers) };
    },
  );

  async function mint(buyers: string[], gift: { currency: string; amount: number }) {
    const { currency, amount } = gift;
    // Once per buyer, so that asking again for a token is no way to get rich.
    if (amount > 0) {
      await ledger.accounts.topUpAll(
        buyers.map((buyer) => {
          const reference = topUpReference(buyer, `welcome ${currency}`);
          return { buyer, currency, amount, reference };
        }),
      );
    }
    const expiresAt = clock.now() + lifetimeMs;
    return buyers.map((buyer) => ({
      sub: buyer,
      token: sign(buyer, lifetimeMs),
      expiresAt: iso(expiresAt),
    }));
  }
}

const mintedToken = z.strictObject({ sub: z.string(), token: z.string(), expiresAt: instant });

const movement = z.strictObject({
  buyer: z.string(),
  kind: z.enum(['capture', 'refund']),
  reference: z.string(),
  amount: minorUnits,
  currency,
});

const statementsSchema = schemaOf({
  tag: 'Demo',
  summary: "The wallet's own book of many buyers, for whoever audits a load test",
  body: statementsBody,
  answers: {
    200: {
      description: 'What was taken from each wallet and what was given back',
      schema: z.strictObject({ movements: z.array(movement) }),
    },
  },
});

const crowdSchema = schemaOf({
  tag: 'Demo',
  summary: 'Tokens of many buyers at once, for a load test',
  body: crowdBody,
  answers: {
    201: {
      description: 'One for each buyer, with money in the wallets',
      schema: z.strictObject({ tokens: z.array(mintedToken) }),
    },
  },
});

const tokenSchema = schemaOf({
  tag: 'Demo',
  summary: 'A buyer token, with money in the wallet',
  body: tokenBody,
  answers: {
    201: {
      description: 'Send it as Authorization: Bearer',
      schema: mintedToken,
    },
  },
});
