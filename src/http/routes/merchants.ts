import type { FastifyInstance } from 'fastify';
import type { Merchants } from '../../ledger/merchants.ts';
import type { Guards } from '../auth/guards.ts';
import { Problem } from '../problems/problems.ts';
import { contract } from '../schemas/contract.ts';
import {
  createdMerchantBody,
  issuedKeyBody,
  keyRequestBody,
  merchantBody,
  revocationBody,
  revokedBody,
} from '../schemas/merchants.ts';
import { addRoute } from '../server/add-route.ts';

export type MerchantRouteOptions = {
  requireOperator: Guards['requireOperator'];
  merchants: Pick<Merchants, 'create' | 'get' | 'issueKey' | 'revoke'>;
};

/** Merchants and their API keys, for whoever operates the engine: `npm run merchant` asks these. */
export function merchantRoutes(app: FastifyInstance, options: MerchantRouteOptions): void {
  const { requireOperator: onRequest, merchants } = options;

  addRoute(
    app,
    'POST /v1/merchants',
    { contract: createContract, onRequest },
    async (request, reply) => {
      const { merchant, apiKey } = await merchants.create(request.body);
      reply.code(201).header('cache-control', 'no-store');
      return { ...merchant, apiKey };
    },
  );

  addRoute(app, 'POST /v1/keys', { contract: keyContract, onRequest }, async (request, reply) => {
    const merchant = await merchants.get(request.body.merchant);
    if (!merchant) throw new Problem('unknown_merchant');
    reply.code(201).header('cache-control', 'no-store');
    return { apiKey: await merchants.issueKey(merchant.id) };
  });

  addRoute(
    app,
    'POST /v1/keys/revoke',
    { contract: revokeContract, onRequest },
    async (request) => ({ revoked: await merchants.revoke(request.body.apiKey) }),
  );
}

const shared = { tag: 'Operations', who: 'operator' } as const;

const createContract = contract({
  ...shared,
  summary: 'Create a merchant',
  description:
    'With a first API key, which is not shown again. The route exists only where an operator key is set.',
  body: merchantBody,
  answers: { 201: { description: 'The merchant', schema: createdMerchantBody } },
});

const keyContract = contract({
  ...shared,
  summary: 'Issue a further API key to a merchant',
  description: 'The key is not shown again. Those of before stay valid until they are revoked.',
  body: keyRequestBody,
  answers: { 201: { description: 'The key', schema: issuedKeyBody } },
  problems: ['unknown_merchant'],
});

const revokeContract = contract({
  ...shared,
  summary: 'Revoke an API key',
  description: 'Every process refuses the key within five seconds.',
  body: revocationBody,
  answers: { 200: { description: 'Whether the key was in force', schema: revokedBody } },
});
