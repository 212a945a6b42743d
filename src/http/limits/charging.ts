import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import { Problem, sendProblem } from '../problems/problems.ts';
import { isRecord } from '../request/record.ts';
import type { Contract } from '../schemas/contract.ts';
import type { Budgets } from './budgets.ts';

/** A drop or a store that is not in memory is looked up, for which a stranger pays far more than for a card. */
const unknownCost = 50;
const unknownCodes: readonly string[] = ['unknown_drop', 'unknown_store'];

/**
 * Charges each request of a route with a contract to its caller's budget, once its credentials are
 * verified and before its body is read; answers 429 when the budget is spent. An authenticated caller
 * is never charged by address. Call it before the routes are added.
 */
export function chargeRoutes(app: FastifyInstance, budgets: Budgets): void {
  app.addHook('onRoute', (route) => {
    const { contract } = route.schema ?? {};
    if (!contract || contract.cost === 0 || contract.who === 'operator') return;
    const checks: onRequestHookHandler[] = [route.onRequest ?? []].flat();
    route.onRequest = [...checks, chargeHook(budgets, contract)];
  });
  app.addHook('onError', async ({ ip, buyer, merchantId }, _reply, error) => {
    const isStranger = buyer === '' && merchantId === '';
    if (isStranger && error instanceof Problem && unknownCodes.includes(error.code)) {
      budgets.chargeStranger(ip, unknownCost);
    }
  });
}

function chargeHook(budgets: Budgets, { who, cost }: Contract): onRequestHookHandler {
  const take = takers[who === 'buyer' || who === 'merchant' ? who : 'stranger'](budgets);
  const costOf = ({ query }: FastifyRequest) =>
    typeof cost === 'function' ? cost(isRecord(query) ? query : {}) : cost;
  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
    const retryAfterMs = take(request, costOf(request));
    if (retryAfterMs > 0) sendProblem(reply, 'rate_limited', { retryAfterMs });
    else done();
  };
}

type Take = (request: FastifyRequest, cost: number | undefined) => number;

const takers: Record<'buyer' | 'merchant' | 'stranger', (budgets: Budgets) => Take> = {
  buyer: (budgets) => (request, cost) => budgets.buyer(request.buyer, cost),
  merchant: (budgets) => (request, cost) => budgets.merchant(request.merchantId, cost),
  stranger: (budgets) => (request, cost) => budgets.stranger(request.ip, cost),
};
