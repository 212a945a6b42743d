// Makes a Docker image from this machine's redis-server and its shared libraries, so that the tests
// can run on testcontainers where no registry can be reached.
//
//   node scripts/testcontainers-image.mjs [name]
//   TESTCONTAINERS_RYUK_DISABLED=true FLASHDROP_TEST_REDIS_IMAGE=<name> npm test
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findRedisServer } from '../src/embedded/find-redis.mjs';

const name = process.argv[2] ?? 'flashdrop-redis:local';
const server = findRedisServer({ env: process.env });
if (server.kind === 'missing')
  fail('no redis-server was found to make an image of; run npm test first');

const root = mkdtempSync(join(tmpdir(), 'flashdrop-image-'));
try {
  // By the name redis-check-aof or redis-check-rdb the program only checks files: keep redis-server.
  copy(realpathSync(server.path), '/usr/local/bin/redis-server');
  for (const library of libraries(server.path)) copy(realpathSync(library), library);
  mkdirSync(join(root, 'data'));
  mkdirSync(join(root, 'tmp'));
  const archive = join(root, 'image.tar');
  run('tar', ['-C', root, '--exclude=./image.tar', '-cf', archive, '.']);
  const changes = ['ENV PATH=/usr/local/bin', 'WORKDIR /data', 'EXPOSE 6379'];
  run('docker', ['import', ...changes.flatMap((change) => ['--change', change]), archive, name]);
  process.stdout.write(`made ${name} from ${server.path} ${server.version}\n`);
} finally {
  rmSync(root, { recursive: true, force: true });
}

/**
 * Paths of the shared libraries that the program is linked to, and of the loader.
 * @param {string} program
 */
function libraries(program) {
  return run('ldd', [program]).match(/\/[^\s()]+(?= \(0x)/g) ?? [];
}

/**
 * @param {string} from
 * @param {string} to
 */
function copy(from, to) {
  mkdirSync(join(root, dirname(to)), { recursive: true });
  copyFileSync(from, join(root, to));
}

/**
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) fail(`${command} ${args[0]} failed: ${error?.message ?? stderr.trim()}`);
  return stdout;
}

/**
 * @param {string} line
 * @returns {never}
 */
function fail(line) {
  process.stderr.write(`${line}\n`);
  process.exit(1);
}
