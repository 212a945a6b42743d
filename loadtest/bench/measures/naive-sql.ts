import { postgresMissing, startPostgres, statement } from '../../postgres.ts';
import { inTurns, tokenSecret } from '../load/closed-loop.ts';
import { startServer } from '../servers/server.ts';
import { type Measured, median } from '../support/figures.ts';
import type { BenchRedis } from '../support/redis.ts';

const pools = { few: 10, many: 20 };
const requests = 12_800;
const naiveRequests = 3_200;
const turnsPerRound = 2;

const schema = `
  create table items (id text primary key, stock bigint not null);
  insert into items values ('phone', 10000000);
  create table orders (
    idempotency_key text primary key,
    item_id text not null,
    quantity integer not null,
    created_at timestamptz not null default now()
  )`;

/**
 * Accepted Buys a second of one drop, durable both: the engine's api role in one process, against a
 * Fastify process that runs a transaction for each on a PostgreSQL server with its own defaults. Of
 * the pools that are tried the better one counts.
 */
export async function measureNaiveSql(redis: BenchRedis, rounds: number): Promise<Measured[]> {
  const reason = postgresMissing();
  if (reason !== undefined) return [{ name: 'naive_sql_ratio', reason, budget: false }];
  const postgres = await startPostgres();
  const api = await startServer('./api-server.ts', {
    BENCH_REDIS_URL: redis.url,
    BENCH_JWT_SECRET: tokenSecret,
  });
  const naive = (size: number, name: string) => prepare(postgres.url, name, size);
  const few = await naive(pools.few, 'few');
  const many = await naive(pools.many, 'many');
  try {
    const sides = {
      api: { server: api, status: 202, requests },
      few: { server: few, status: 202, requests: naiveRequests },
      many: { server: many, status: 202, requests: naiveRequests },
    };
    const turns = await inTurns(sides, rounds * turnsPerRound);
    const rate = (side: keyof typeof sides) => median(turns.map((turn) => turn[side].rate));
    const better = rate('few') >= rate('many') ? 'few' : 'many';
    return [
      {
        name: 'buys_per_second',
        value: rate('api'),
        unit: '/s',
        how: 'accepted, one drop, the api role in one process',
      },
      {
        name: 'naive_sql_per_second',
        value: rate(better),
        unit: '/s',
        how: `accepted by one UPDATE … WHERE stock > 0 and one INSERT each, PostgreSQL's defaults, pool of ${pools[better]}`,
      },
      {
        name: 'naive_sql_ratio',
        value: median(turns.map((turn) => turn.api.rate / turn[better].rate)),
        unit: 'x',
        how: 'the first ÷ the second, which checks no token, no body and no limit',
      },
    ];
  } finally {
    for (const server of [api, few, many]) server.stop();
    await postgres.stop();
  }
}

/** A server with a pool of a size, on a database of its own. */
async function prepare(url: string, name: string, size: number) {
  await statement(url, `create database ${name}`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  await statement(own.href, schema);
  return startServer('./naive-server.ts', {
    BENCH_DATABASE_URL: own.href,
    BENCH_POOL: String(size),
  });
}
