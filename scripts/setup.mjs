// Installs what a fresh clone lacks: dependencies, Node, a Redis server. Each step prints its seconds;
// without a step to do, nothing is printed. Plain JavaScript for Node 20.
// Usage: node scripts/setup.mjs [start|test]
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readEnvFile } from '../src/config/env-file.mjs';
import { ensureDependencies, ensureNode } from './setup/dependencies.mjs';
import { SetupError, say } from './setup/quiet.mjs';
import { ensureRedis } from './setup/redis.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

try {
  const { values, problems } = readEnvFile(join(root, '.env'));
  if (problems.length > 0) throw new SetupError(problems.join('\n'));
  const env = { ...values, ...process.env };
  ensureDependencies({ root, env });
  ensureNode({ root, env });
  // The tests stop and kill servers, so they need one of their own even when REDIS_URL is set.
  // An empty REDIS_URL is refused by the start, so nothing is installed for it.
  if (process.argv[2] === 'test' || env['REDIS_URL'] === undefined) ensureRedis({ env });
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
