import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import { serve } from './server.ts';

/** The least that a Fastify server can do with a Buy: route, parse the body, answer. */
const app = fastify({ logger: false });
app.post('/v1/drops/:drop/orders', (request, reply) => {
  const { sku } = request.body as { sku: string };
  return reply.code(202).send({ sku, state: 'reserved' });
});
await app.listen({ host: '127.0.0.1', port: 0 });
serve({ port: (app.server.address() as AddressInfo).port, drops: ['drop_aaaaaaaaaaaa'] });
