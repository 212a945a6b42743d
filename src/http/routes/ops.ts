import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../../metrics.ts';
import type { Guards } from '../auth/guards.ts';
import { areStoresReady, type Health, readinessOf } from '../ops/readiness.ts';
import { errorsPage, errorsPagePolicy } from '../problems/errors-page.ts';
import { openApiDocument } from '../server/docs.ts';
import { keptAnswer } from '../server/kept-answer.ts';
import { isDraining } from '../server/server.ts';

export type OpsRouteOptions = {
  health: Health;
  metrics: Pick<Metrics, 'registry' | 'text'>;
  requireOperator: Guards['requireOperator'];
};

/**
 * What balancers and readers ask of the public port, and /metrics for whoever has the operator key. The
 * operators' own port has the rest (ops/ops-listener.ts): a page of metrics costs the process that
 * settles more than settling an order.
 */
export function opsRoutes(app: FastifyInstance, options: OpsRouteOptions): void {
  const { health, metrics, requireOperator } = options;

  app.get('/livez', (_request, reply) => void reply.type('text/plain').send('live\n'));

  app.get('/readyz', async (_request, reply) => {
    const ready = areStoresReady(await readinessOf(health)) && !isDraining(app);
    reply.code(ready ? 200 : 503).header('cache-control', 'no-store');
    return { ready };
  });

  app.get('/metrics', { onRequest: requireOperator }, async (_request, reply) => {
    reply.type(metrics.registry.contentType).header('cache-control', 'no-store');
    return await metrics.text();
  });

  const errors = keptAnswer('text/html; charset=utf-8', () => errorsPage);
  app.get('/docs/errors', (request, reply) => {
    reply.header('content-security-policy', errorsPagePolicy);
    return errors(request, reply);
  });
  app.get('/openapi.json', openApiDocument(app));
}
