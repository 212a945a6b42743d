import { connections, inTurns, tokenSecret } from '../load/closed-loop.ts';
import { startServer } from '../servers/server.ts';
import { type Figure, median } from '../support/figures.ts';
import type { BenchRedis } from '../support/redis.ts';

const requests = 12_800;
const turnsPerRound = 3;
const units = 10_000;

/**
 * Refusals a second of a drop that is sold out, to buyers who come for the first time, against a
 * bare Fastify route that parses the same body. Both are held up by their own processor time: the
 * client needs less than they do.
 */
export async function measureSoldOut(redis: BenchRedis, rounds: number): Promise<Figure[]> {
  const settings = { BENCH_REDIS_URL: redis.url, BENCH_JWT_SECRET: tokenSecret };
  const api = await startServer('./api-server.ts', {
    ...settings,
    BENCH_SOLD: String(units),
  });
  const bare = await startServer('./bare-server.ts');
  try {
    const sides = {
      bare: { server: bare, status: 202, requests },
      api: { server: api, redis, status: 409, requests },
    };
    const turns = await inTurns(sides, rounds * turnsPerRound);
    return [
      {
        name: 'sold_out_per_second',
        value: median(turns.map(({ api }) => api.rate)),
        unit: '/s',
        how: `409 sold_out to distinct buyers with valid tokens, ${connections} connections, ${turns.length} turns of ${requests}`,
      },
      {
        name: 'sold_out_ratio',
        value: median(turns.map(({ api, bare }) => api.rate / bare.rate)),
        unit: 'x',
        min: 0.8,
        how: 'the same ÷ answers a second of a bare Fastify POST that parses the same body',
        why: 'the token is checked, and the lane is asked whether the key has an order (docs/decisions/0008-where-the-time-goes.md)',
      },
      {
        name: 'sold_out_cpu_ratio',
        value: median(turns.map(({ api, bare }) => bare.cpuMicros / api.cpuMicros)),
        unit: 'x',
        how: 'processor time of the bare POST ÷ that of a refusal, API and Redis',
      },
    ];
  } finally {
    api.stop();
    bare.stop();
  }
}
