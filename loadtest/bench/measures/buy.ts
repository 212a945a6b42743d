import { connections, inTurns, tokenSecret } from '../load/closed-loop.ts';
import { startServer } from '../servers/server.ts';
import { type Figure, median } from '../support/figures.ts';
import type { BenchRedis } from '../support/redis.ts';

const requests = 12_800;
const turnsPerRound = 3;

/**
 * Processor time of one accepted Buy, API process and Redis together, against a bare Fastify route
 * that parses the same body under the same load. The settlement does not run meanwhile.
 */
export async function measureBuy(redis: BenchRedis, rounds: number): Promise<Figure[]> {
  const settings = { BENCH_REDIS_URL: redis.url, BENCH_JWT_SECRET: tokenSecret };
  const api = await startServer('./api-server.ts', settings);
  const bare = await startServer('./bare-server.ts');
  try {
    const sides = {
      bare: { server: bare, status: 202, requests },
      api: { server: api, redis, status: 202, requests },
    };
    const turns = await inTurns(sides, rounds * turnsPerRound);
    return [
      {
        name: 'buy_cpu_micros',
        value: median(turns.map(({ api }) => api.cpuMicros)),
        unit: 'µs',
        how: `API and Redis, ${connections} connections, accepted Buys of distinct buyers, ${turns.length} turns of ${requests}`,
      },
      {
        name: 'buy_cpu_ratio',
        value: median(turns.map(({ api, bare }) => api.cpuMicros / bare.cpuMicros)),
        unit: 'x',
        max: 2,
        how: 'the same ÷ a bare Fastify POST that parses the same body',
        why: 'Redis takes a fifth, and the write of the answer, which both pay, a quarter; the rest is spread (docs/decisions/0008-where-the-time-goes.md)',
      },
    ];
  } finally {
    api.stop();
    bare.stop();
  }
}
