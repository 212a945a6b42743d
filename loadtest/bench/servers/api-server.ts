import { newMerchantId } from '../../../src/domain/ids.ts';
import { startEngine } from '../../../src/engine/engine.ts';
import { callOrdersMax, openLanes } from '../../../src/inventory/lanes.ts';
import { connectHot } from '../../../src/inventory/redis-connections.ts';
import { createLog } from '../../../src/log.ts';
import { benchDrop, benchReservations } from '../support/drop.ts';
import { serve } from './server.ts';

/** The engine's api role, as it runs in production, with a ledger in memory that a Buy never asks. */
const redisUrl = process.env['BENCH_REDIS_URL'] ?? '';
const namespace = 'bench-api';
const engine = await startEngine({
  config: {
    role: 'api',
    host: '127.0.0.1',
    port: 0,
    ops: { host: '127.0.0.1', port: 0 },
    apiProcesses: 1,
    namespace,
    demo: false,
    logLevel: 'warn',
    quietMs: 0,
    reconcileMinutes: 0,
    operatorKey: undefined,
    redis: { kind: 'url', url: redisUrl },
    ledger: { kind: 'embedded' },
    folder: undefined,
    compileCache: undefined,
    redisSearch: {},
    tokens: {
      kind: 'secret',
      algorithm: 'HS256',
      secret: process.env['BENCH_JWT_SECRET'] ?? '',
      issuer: 'bench',
      audience: 'flashdrop',
    },
    payments: { publicUrl: '' },
    http: { keepAliveMs: undefined, trustedProxies: [], allowedOrigins: [], allowedSchemes: [] },
    simulators: false,
    allowUnsafeRedis: new Set(),
  },
  folder: undefined,
  log: createLog('warn'),
});

const redis = connectHot(redisUrl, { timeoutMs: 5_000 });
await new Promise((resolve) => redis.once('ready', resolve));
const lanes = openLanes(redis, namespace);
const drops: string[] = [];
for (let n = 0; n < Number(process.env['BENCH_DROPS'] ?? 1); n += 1) drops.push(await openDrop());
redis.disconnect();
serve({ port: Number(new URL(engine.address).port), drops });

/** A drop of the lanes alone; sold out, with orders in it, where the bench wants it so. */
async function openDrop(): Promise<string> {
  const sold = Number(process.env['BENCH_SOLD'] ?? 0);
  const drop = benchDrop(newMerchantId(), sold > 0 ? sold : undefined);
  const ref = { drop: drop.id, lane: 0 };
  await lanes.publish(drop, 0, true);
  for (let from = 0; from < sold; from += callOrdersMax) {
    const taken = benchReservations(drop, from, Math.min(callOrdersMax, sold - from));
    await lanes.reserve(ref, taken);
    await lanes.confirm(
      ref,
      taken.map(({ digest }) => digest),
    );
  }
  return drop.id;
}
