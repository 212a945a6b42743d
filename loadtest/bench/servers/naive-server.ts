import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import pg from 'pg';
import { serve } from './server.ts';

/**
 * The design that a team would build first: a transaction for each Buy, which takes a unit where
 * one is left and writes the order. Statements are prepared once a connection. The order is written
 * first, so that the item's row, which all wait for, is locked for as short as it can be. What the
 * engine does beyond that is left out in this one's favour: no token is checked, no body validated,
 * no buyer's limit held.
 */
const pool = new pg.Pool({
  connectionString: process.env['BENCH_DATABASE_URL'],
  max: Number(process.env['BENCH_POOL']),
});
const statements = {
  order: {
    name: 'order',
    text: `insert into orders (idempotency_key, item_id, quantity) values ($1, $2, 1)
           on conflict (idempotency_key) do nothing`,
  },
  take: {
    name: 'take',
    text: 'update items set stock = stock - 1 where id = $1 and stock > 0',
  },
};

async function buy(key: string, sku: string): Promise<'reserved' | 'sold_out'> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rowCount: written } = await client.query({ ...statements.order, values: [key, sku] });
    const taken =
      written === 0 || (await client.query({ ...statements.take, values: [sku] })).rowCount === 1;
    await client.query(taken ? 'commit' : 'rollback');
    return taken ? 'reserved' : 'sold_out';
  } finally {
    client.release();
  }
}

const app = fastify({ logger: false });
app.post('/v1/drops/:drop/orders', async (request, reply) => {
  const { sku } = request.body as { sku: string };
  const state = await buy(request.headers['idempotency-key'] as string, sku);
  return reply.code(state === 'reserved' ? 202 : 409).send({ sku, state });
});
await app.listen({ host: '127.0.0.1', port: 0 });
serve({ port: (app.server.address() as AddressInfo).port, drops: ['drop_aaaaaaaaaaaa'] });
