import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import type { Guards } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { schemaOf } from '../schemas/contract.ts';
import { reconciliationBody, reconciliationReportBody } from '../schemas/reconciliations.ts';

/** Providers are asked about every payment, and the connection is silent meanwhile. */
const answerMsMax = 15 * 60_000;

type Asked = { Body: z.infer<typeof reconciliationBody> };

/** The books compared now, for whoever runs the engine. */
export function reconciliationRoute(app: FastifyInstance, deps: AppDeps, guards: Guards): void {
  const onRequest = guards.requireOperator;

  app.post<Asked>('/v1/reconciliations', { schema, onRequest }, async (request, reply) => {
    reply.raw.setTimeout(answerMsMax, () => reply.raw.destroy());
    reply.header('cache-control', 'no-store');
    return await deps.services.reconcile({ sinceHours: request.body.sinceHours });
  });
}

const schema = schemaOf({
  tag: 'Operations',
  who: 'operator',
  summary: 'Compare the books of providers, ledger and lanes',
  description:
    'For the last `sinceHours` hours, and everything open whatever its age. What can be mended is; the rest is an alarm. Takes as long as the providers take to answer. Only where there is an operator key.',
  body: reconciliationBody,
  answers: { 200: { description: 'What differed', schema: reconciliationReportBody } },
});
