import { type ChildProcess, fork } from 'node:child_process';
import { on } from 'node:events';
import autocannon from 'autocannon';
import { createSigner } from 'fast-jwt';
import { benchBuyer } from './drop.ts';
import { type Figure, median } from './figures.ts';
import type { BenchRedis } from './redis.ts';

/** A sale's crowd: enough connections for many Buys to arrive within one call's time. */
const connections = 256;
const requests = 38_400;

/** What the measured processes are told and tell over their channel. */
export type ServerMessage =
  | { kind: 'ready'; port: number; drop: string }
  | { kind: 'cpu'; micros: number };

type Server = { process: ChildProcess; port: number; drop: string; cpuMicros(): Promise<number> };

async function startServer(file: string, settings: Record<string, string>): Promise<Server> {
  const child = fork(new URL(file, import.meta.url), {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const messages = on(child, 'message', { close: ['exit'] });
  const answer = async (): Promise<ServerMessage> => {
    const next = await messages.next();
    if (next.done) throw new Error(`${file} ended before it answered`);
    return next.value[0] as ServerMessage;
  };
  const ready = await answer();
  if (ready.kind !== 'ready') throw new Error(`${file} said ${ready.kind} first`);
  return {
    process: child,
    port: ready.port,
    drop: ready.drop,
    async cpuMicros() {
      child.send('cpu');
      const told = await answer();
      return told.kind === 'cpu' ? told.micros : Number.NaN;
    },
  };
}

const body = JSON.stringify({ sku: 'phone', quantity: 1, payment: { method: 'wallet' } });
const secret = 'bench-secret-of-more-than-32-bytes!!';
const sign = createSigner({
  key: secret,
  algorithm: 'HS256',
  iss: 'bench',
  aud: 'flashdrop',
  expiresIn: 3_600_000,
});

/**
 * Sends each request once, every one of another buyer. Answers other than 202 are a failure, unless
 * the server is still cold: it may shed then.
 */
async function load(server: Server, from: number, { cold }: { cold: boolean }): Promise<void> {
  const each = requests / connections;
  let client = 0;
  const result = await autocannon({
    url: `http://127.0.0.1:${server.port}`,
    connections,
    amount: requests,
    setupClient(one) {
      const first = from + client * each;
      client += 1;
      one.setRequests(
        Array.from({ length: each }, (_, n) => ({
          method: 'POST' as const,
          path: `/v1/drops/${server.drop}/orders`,
          headers: {
            authorization: `Bearer ${sign({ sub: benchBuyer(first + n) })}`,
            'content-type': 'application/json',
            'idempotency-key': `key-${first + n}`,
          },
          body,
        })),
      );
    },
  });
  if (result['2xx'] !== requests && !cold) {
    throw new Error(
      `${result['2xx']} of ${requests} were accepted: ${JSON.stringify(result.statusCodeStats)}`,
    );
  }
}

/**
 * Processor time of one accepted Buy, API process and Redis together, against a bare Fastify route
 * that parses the same body under the same load. The settlement does not run meanwhile.
 */
export async function measureBuy(redis: BenchRedis, rounds: number): Promise<Figure[]> {
  const settings = { BENCH_REDIS_URL: redis.url, BENCH_JWT_SECRET: secret };
  const api = await startServer('./api-server.ts', settings);
  const bare = await startServer('./bare-server.ts', settings);
  const perBuy: number[] = [];
  const ratios: number[] = [];
  try {
    for (let round = 0; round <= rounds; round += 1) {
      const from = round * requests;
      const cold = round === 0;
      const bareBefore = await bare.cpuMicros();
      await load(bare, from, { cold });
      const bareMicros = ((await bare.cpuMicros()) - bareBefore) / requests;
      const before = (await api.cpuMicros()) + (await redis.cpuMicros());
      await load(api, from, { cold });
      const micros = ((await api.cpuMicros()) + (await redis.cpuMicros()) - before) / requests;
      if (!cold) {
        perBuy.push(micros);
        ratios.push(micros / bareMicros);
      }
    }
  } finally {
    api.process.kill();
    bare.process.kill();
  }
  return [
    {
      name: 'buy_cpu_micros',
      value: median(perBuy),
      unit: 'µs',
      how: `API and Redis, ${connections} connections, ${requests} accepted Buys of distinct buyers`,
    },
    {
      name: 'buy_cpu_ratio',
      value: median(ratios),
      unit: 'x',
      max: 2,
      how: 'the same ÷ a bare Fastify POST that parses the same body',
    },
  ];
}
