import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../../metrics.ts';
import { withDeadline } from '../../scheduling/deadline.ts';
import { errorsPage } from '../problems/errors-page.ts';
import { isDraining } from '../server/server.ts';

const answerMsMax = 1_000;

/** Each resolves when the store answers and rejects when it does not. */
export type Health = { redis(): Promise<unknown>; ledger(): Promise<unknown> };

export type OpsRouteOptions = { health: Health; metrics: Pick<Metrics, 'registry' | 'text'> };

/** For operators. Only /readyz needs Redis and the ledger: it asks whether they answer. */
export function opsRoutes(app: FastifyInstance, { health, metrics }: OpsRouteOptions): void {
  app.get('/livez', (_request, reply) => void reply.type('text/plain').send('live\n'));

  app.get('/readyz', async (_request, reply) => {
    const [redis, ledger] = await Promise.all([
      doesAnswer(health.redis()),
      doesAnswer(health.ledger()),
    ]);
    const draining = isDraining(app);
    const ready = redis && ledger && !draining;
    reply.code(ready ? 200 : 503).header('cache-control', 'no-store');
    return { ready, redis, ledger, draining };
  });

  app.get('/metrics', async (_request, reply) => {
    reply.type(metrics.registry.contentType);
    return metrics.text();
  });

  app.get('/docs/errors', (_request, reply) => void reply.type('text/html').send(errorsPage));
  app.get('/openapi.json', (_request, reply) => void reply.send(app.swagger()));
}

/** True when a store answers within a second. */
async function doesAnswer(asked: Promise<unknown>): Promise<boolean> {
  return (await withDeadline(asked.then(isTrue, isFalse), answerMsMax)) ?? false;
}

const isTrue = () => true;
const isFalse = () => false;
