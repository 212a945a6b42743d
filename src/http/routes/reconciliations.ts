import type { FastifyInstance } from 'fastify';
import type { Reconcile } from '../../reconciliation/reconciliation.ts';
import type { Guards } from '../auth/guards.ts';
import { contract } from '../schemas/contract.ts';
import { reconciliationBody, reconciliationReportBody } from '../schemas/reconciliations.ts';
import { addRoute } from '../server/add-route.ts';
import { allowSilence, comparingMsMax } from '../server/long-answer.ts';

export type ReconciliationRouteOptions = {
  requireOperator: Guards['requireOperator'];
  reconcile: Reconcile;
};

/** Reconciles now, for whoever operates the engine. */
export function reconciliationRoute(
  app: FastifyInstance,
  options: ReconciliationRouteOptions,
): void {
  const { requireOperator, reconcile } = options;

  addRoute(
    app,
    'POST /v1/reconciliations',
    { contract: reconciliationContract, onRequest: requireOperator },
    async (request, reply) => {
      // Providers are asked about every payment.
      allowSilence(reply, comparingMsMax);
      reply.header('cache-control', 'no-store');
      return await reconcile({ sinceHours: request.body.sinceHours });
    },
  );
}

const reconciliationContract = contract({
  tag: 'Operations',
  who: 'operator',
  summary: 'Reconcile providers, ledger and lanes',
  description:
    'Compares payments and orders of the last `sinceHours` hours, and all that are still open whatever their age. Repairs what it can and raises an alarm for the rest. Takes as long as the providers take to answer. The route exists only where an operator key is set.',
  body: reconciliationBody,
  answers: { 200: { description: 'The differences', schema: reconciliationReportBody } },
});
