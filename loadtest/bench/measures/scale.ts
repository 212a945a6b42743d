import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../src/embedded/free-port.ts';
import { startEngine } from '../../engine.ts';
import { openMerchant } from '../../merchant.ts';
import { buyRequest, connections, inTurns, press, tokenSecret } from '../load/closed-loop.ts';
import { startServer } from '../servers/server.ts';
import { type Figure, median } from '../support/figures.ts';
import type { BenchRedis } from '../support/redis.ts';

const requests = 12_800;
const counts = { drops: [1, 10, 1_000], processes: [1, 2, 4] };
const units = 1_000_000;

/** Accepted Buys a second spread over few drops and many, each a lane of its own. */
export async function measureDrops(redis: BenchRedis, rounds: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const count of counts.drops) {
    const server = await startServer('./api-server.ts', {
      BENCH_REDIS_URL: redis.url,
      BENCH_JWT_SECRET: tokenSecret,
      BENCH_DROPS: String(count),
    });
    try {
      const turns = await inTurns({ api: { server, status: 202, requests } }, rounds);
      figures.push({
        name: `buys_per_second_drops_${count}`,
        value: median(turns.map(({ api }) => api.rate)),
        unit: '/s',
        how: `accepted, the api role in one process, ${turns.length} turns of ${requests}`,
      });
    } finally {
      server.stop();
      await redis.empty();
    }
  }
  return figures;
}

/** Accepted Buys a second of the whole engine, which settles meanwhile, by its api processes. */
export async function measureProcesses(rounds: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const count of counts.processes) {
    const rates = await ratesOf(count, rounds);
    figures.push({
      name: `buys_per_second_processes_${count}`,
      value: median(rates),
      unit: '/s',
      how: `accepted, one drop, the whole engine settling, ${connections} connections, ${rates.length} turns of ${requests}`,
    });
  }
  return figures;
}

async function ratesOf(processes: number, rounds: number): Promise<number[]> {
  const data = mkdtempSync(join(tmpdir(), 'flashdrop-bench-engine-'));
  const engine = await startEngine({
    data,
    port: await freePort(),
    env: { FLASHDROP_API_PROCESSES: String(processes) },
  });
  try {
    const merchant = openMerchant(engine);
    const drop = await merchant.openDrop({ sku: 'phone', units });
    const { port } = new URL(engine.address);
    const rates: number[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      const crowd = await merchant.gatherCrowd(requests, `round-${round}-`);
      const texts = crowd.map(({ buyer, token }) => buyRequest({ drop, token, key: buyer }));
      const { seconds, statuses } = await press(Number(port), texts);
      // The first round finds the processes cold and does not count. Some may be shed in any.
      if (round > 0) rates.push((statuses[202] ?? 0) / seconds);
    }
    return rates;
  } finally {
    await engine.stop();
    rmSync(data, { recursive: true, force: true });
  }
}
