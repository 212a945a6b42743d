import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { runQuietly, SetupError, say, sayDone } from './quiet.mjs';

export const oldestNode = 24;

/**
 * Installs the locked dependencies when they are missing or older than the lock. npm writes
 * `node_modules/.package-lock.json` last, so an interrupted install counts as missing.
 * @throws SetupError when npm fails
 * @param {{ root: string, env: Record<string, string | undefined> }} options
 */
export function ensureDependencies({ root, env }) {
  const lock = modified(join(root, 'package-lock.json'));
  if (modified(join(root, 'node_modules', '.package-lock.json')) >= lock) return;
  say('installing the locked dependencies');
  const since = performance.now();
  const args = ['ci', '--ignore-scripts', '--include=dev', '--include=optional', '--prefix', root];
  const npm = env['npm_execpath'];
  runQuietly({
    command: npm ? process.execPath : 'npm',
    args: npm ? [npm, ...args] : args,
    env,
    failure: 'npm ci failed; its output is above. Check the network and run the command again',
  });
  sayDone('installed the locked dependencies', since);
}

/** @param {string} path */
function modified(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

/**
 * Checks that the `node` which npm's scripts find runs TypeScript without a build.
 * @throws SetupError when it does not
 * @param {{ root: string, env: Record<string, string | undefined> }} options
 */
export function ensureNode({ root, env }) {
  // npm found the `node` that runs this file in the same way, so it is the one to check.
  if (majorOf(process.versions.node) >= oldestNode) return;
  const pinned = join(root, 'node_modules', '.bin', 'node');
  if (pathExists(pinned)) {
    if (majorOf(versionOf(pinned, env)) >= oldestNode) return;
    // The pinned binary is built for glibc; where it cannot run, it must not hide the user's own.
    rmSync(pinned);
  }
  const own = versionOf('node', env);
  if (majorOf(own) >= oldestNode) return;
  throw new SetupError(
    `Node ${oldestNode} or newer is needed and ${own ? `Node ${own}` : 'none'} was found; ` +
      `no pinned one exists for ${process.platform}-${process.arch}. ` +
      `Install Node ${oldestNode} (https://nodejs.org/en/download) and run the command again`,
  );
}

/** @param {string} path */
function pathExists(path) {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * @param {string} command
 * @param {Record<string, string | undefined>} env
 */
function versionOf(command, env) {
  const { status, stdout } = spawnSync(command, ['--version'], { env, encoding: 'utf8' });
  return status === 0 ? stdout.trim().replace(/^v/, '') : undefined;
}

/** @param {string | undefined} version */
function majorOf(version) {
  return Number.parseInt(version ?? '0', 10);
}
