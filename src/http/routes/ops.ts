import type { FastifyInstance } from 'fastify';
import type { AppDeps } from '../deps.ts';
import { errorsPage } from '../problems/errors-page.ts';
import { isDraining } from '../server/server.ts';

const answerMsMax = 1_000;

/** For those who run the engine. None of it needs Redis or the ledger except /readyz, which asks. */
export function opsRoutes(app: FastifyInstance, deps: AppDeps): void {
  const { health, metrics } = deps;

  app.get('/livez', (_request, reply) => void reply.type('text/plain').send('live\n'));

  app.get('/readyz', async (_request, reply) => {
    const [redis, ledger] = await Promise.all([answers(health.redis()), answers(health.ledger())]);
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

/** True when a part answers within a second. */
async function answers(asked: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), answerMsMax);
  });
  try {
    return await Promise.race([asked.then(() => true), late]);
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}
