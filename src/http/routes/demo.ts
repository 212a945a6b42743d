import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Gift, Gifts } from '../../checkout/gifts.ts';
import type { Clock } from '../../domain/clock.ts';
import { type BuyerId, newId } from '../../domain/ids.ts';
import type { Accounts } from '../../ledger/wallet/accounts.ts';
import { isBuyerName } from '../auth/claims.ts';
import { contract } from '../schemas/contract.ts';
import { currency, instant, iso, minorUnits } from '../schemas/fields.ts';
import { addRoute } from '../server/add-route.ts';

const lifetimeMs = 24 * 3_600_000;
const giftAmount = 1_000_000;
const statementsBytesMax = 262_144;
const giftCurrency = 'CNY';

const giftedCurrency = currency.default(giftCurrency);
const buyerName = z.string().refine(isBuyerName, 'must be 1 to 255 printable ASCII characters');

const tokenBody = z
  .strictObject({ sub: buyerName.optional(), currency: giftedCurrency })
  .default({ currency: giftCurrency });

const crowdBody = z.strictObject({
  prefix: buyerName.max(64).describe('A buyer is named by the prefix and a number from 0'),
  count: z.int().min(1).max(1_000),
  currency: giftedCurrency,
  amount: z.int().min(0).max(giftAmount).default(giftAmount).describe('In each wallet'),
});

const statementsBody = z.strictObject({ buyers: z.array(buyerName).min(1).max(1_000) });

export type DemoRouteOptions = {
  gifts: Pick<Gifts, 'welcome'>;
  accounts: Pick<Accounts, 'statements'>;
  /** Signs a token of a buyer that is valid for `lifetimeMs`. */
  sign(buyer: BuyerId, lifetimeMs: number): string;
  clock: Clock;
};

/** Added in demo mode only: they let anybody act as any buyer. */
export function demoRoutes(app: FastifyInstance, options: DemoRouteOptions): void {
  const { gifts, accounts, sign, clock } = options;

  addRoute(
    app,
    'POST /demo/tokens',
    { contract: contracts.token },
    async ({ body: { sub: buyer = newId('buyer'), currency } }, reply) => {
      const [minted] = await mint([buyer], { currency, amount: giftAmount });
      reply.code(201).header('cache-control', 'no-store');
      return minted;
    },
  );

  addRoute(app, 'POST /demo/crowds', { contract: contracts.crowd }, async ({ body }, reply) => {
    const { prefix, count, ...gift } = body;
    const buyers = Array.from({ length: count }, (_, n) => `${prefix}${n}`);
    const tokens = await mint(buyers, gift);
    reply.code(201).header('cache-control', 'no-store');
    return { tokens };
  });

  addRoute(
    app,
    'POST /demo/statements',
    { contract: contracts.statements, bodyLimit: statementsBytesMax },
    async ({ body }, reply) => {
      reply.header('cache-control', 'no-store');
      return { movements: await accounts.statements(body.buyers) };
    },
  );

  async function mint(buyers: string[], gift: Gift) {
    await gifts.welcome(buyers, gift);
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

const contracts = {
  token: contract({
    tag: 'Demo',
    cost: 0,
    summary: 'Mint a buyer token, with money in the wallet',
    body: tokenBody,
    answers: {
      201: {
        description: 'Send it as Authorization: Bearer',
        schema: mintedToken,
      },
    },
  }),
  crowd: contract({
    tag: 'Demo',
    cost: 0,
    summary: 'Mint tokens of many buyers at once, for a load test',
    body: crowdBody,
    answers: {
      201: {
        description: 'A token for each buyer, with money in the wallets',
        schema: z.strictObject({ tokens: z.array(mintedToken) }),
      },
    },
  }),
  statements: contract({
    tag: 'Demo',
    cost: 0,
    summary: "List the wallet's movements of many buyers, to audit a load test",
    body: statementsBody,
    answers: {
      200: {
        description: 'What was taken from each wallet and what was given back',
        schema: z.strictObject({ movements: z.array(movement) }),
      },
    },
  }),
};
