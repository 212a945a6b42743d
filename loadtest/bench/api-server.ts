import { connectHot } from '../../src/inventory/connection.ts';
import { openLanes } from '../../src/inventory/lanes.ts';
import { createLog } from '../../src/log.ts';
import { startEngine } from '../../src/runtime.ts';
import { benchDrop } from './drop.ts';
import { serve } from './serve.ts';

/** The engine's api role, as it runs in production, with a ledger in memory that a Buy never asks. */
const redisUrl = process.env.BENCH_REDIS_URL ?? '';
const namespace = 'bench-buy';
const engine = await startEngine({
  config: {
    role: 'api',
    host: '127.0.0.1',
    port: 0,
    apiProcesses: 1,
    namespace,
    demo: false,
    logLevel: 'warn',
    quietMs: 0,
    redis: { kind: 'url', url: redisUrl },
    ledger: { kind: 'embedded' },
    folder: undefined,
    redisSearch: {},
    tokens: {
      kind: 'secret',
      algorithm: 'HS256',
      secret: process.env.BENCH_JWT_SECRET ?? '',
      issuer: 'bench',
      audience: 'flashdrop',
    },
    allowUnsafeRedis: new Set(),
  },
  folder: undefined,
  log: createLog('warn'),
});

const drop = benchDrop('mer_bench');
const redis = connectHot(redisUrl, { timeoutMs: 5_000 });
await new Promise((resolve) => redis.once('ready', resolve));
await openLanes(redis, namespace).publish(drop, 0, true);
redis.disconnect();
serve({ port: Number(new URL(engine.address).port), drop: drop.id });
