import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { measureBuy } from './bench/buy.ts';
import { environment, type Figure, judge, line } from './bench/figures.ts';
import { startRedis } from './bench/redis.ts';
import { measureAppointments, measureMemory, measureReserve } from './bench/reserve.ts';
import { measureSettle } from './bench/settle.ts';

const usage = `npm run bench -- [--json FILE] [--rounds N] [--only buy|reserve|memory|settle]
  Measures how far the engine is from its budgets; each ratio within one run. Exit 1 if one is missed.`;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (!options) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const { rounds, only, json } = options;
  const redis = await startRedis();
  const figures: Figure[] = [];
  const add = (...measured: Figure[]) => {
    for (const figure of measured) process.stdout.write(`${line(figure)}\n`);
    figures.push(...measured);
  };
  try {
    const where = environment(await redis.version());
    process.stdout.write(
      `node ${where.node}, redis ${where.redis}, ${where.cores} × ${where.cpu}; medians of ${rounds}\n`,
    );
    if (!only || only === 'reserve') add(...(await measureReserve(redis, rounds)));
    if (!only || only === 'memory') {
      add(await measureMemory(redis), await measureAppointments(redis));
    }
    if (!only || only === 'buy') add(...(await measureBuy(redis, rounds)));
    if (!only || only === 'settle') add(...(await measureSettle(redis, rounds)));
    const judged = figures.map(judge);
    if (json) {
      const document = { figures: judged, environment: where };
      writeFileSync(json, `${JSON.stringify(document, undefined, 2)}\n`);
    }
    return judged.every(({ ok }) => ok) ? 0 : 1;
  } finally {
    await redis.stop();
  }
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        json: { type: 'string' },
        rounds: { type: 'string', default: '3' },
        only: { type: 'string' },
      },
    });
    const rounds = Number(values.rounds);
    const parts = ['buy', 'reserve', 'memory', 'settle'];
    if (!Number.isInteger(rounds) || rounds < 1 || rounds > 50) return undefined;
    if (values.only !== undefined && !parts.includes(values.only)) return undefined;
    return { json: values.json, only: values.only, rounds };
  } catch {
    return undefined;
  }
}
