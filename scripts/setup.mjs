// Makes a fresh clone ready: dependencies, Node, a Redis server. Plain JavaScript for Node 20, and
// silent when there is nothing to do. Usage: node scripts/setup.mjs [start|test]
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureDependencies, ensureNode } from './setup/dependencies.mjs';
import { SetupError, say } from './setup/quiet.mjs';
import { ensureRedis } from './setup/redis.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

try {
  if (existsSync(join(root, '.env'))) process.loadEnvFile(join(root, '.env'));
  ensureDependencies({ root, env: process.env });
  ensureNode({ root, env: process.env });
  // The tests stop and kill servers of their own, so a REDIS_URL does not serve them.
  if (process.argv[2] === 'test' || !process.env['REDIS_URL']) ensureRedis({ env: process.env });
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
