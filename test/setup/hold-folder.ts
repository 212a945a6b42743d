// An engine's embedded half alone, for tests that kill it: opens a folder, starts its Redis, and
// prints one line of JSON once both are there.
import { openFolder } from '../../src/embedded/folder.ts';
import { startEmbeddedRedis } from '../../src/embedded/redis.ts';

const log = { info: () => {}, warn: () => {} };
const path = process.argv[2] ?? '';
const folder = await openFolder({ path, fresh: false });
const redis = await startEmbeddedRedis({
  folder: folder.redis,
  password: folder.secrets.redisPassword,
  env: process.env,
  log,
});
process.stdout.write(`${JSON.stringify({ url: redis.url, pid: redis.pid() })}\n`);
process.once('SIGTERM', async () => {
  await redis.stop();
  folder.close();
});
