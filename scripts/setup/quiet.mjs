import { spawnSync } from 'node:child_process';
import { delimiter } from 'node:path';

/** The set-up cannot go on, for a reason that the user can act on. */
export class SetupError extends Error {}

/** Folders of the tools that package managers call; a shortened PATH may lack them. */
const systemFolders = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
];

/** @param {string} line */
export function say(line) {
  process.stderr.write(`setup: ${line}\n`);
}

/**
 * Prints a step that is done and how long it took.
 * @param {string} what
 * @param {number} since `performance.now()` at its start
 */
export function sayDone(what, since) {
  say(`${what}  ${((performance.now() - since) / 1_000).toFixed(1)} s`);
}

/** @param {Record<string, string | undefined>} env */
export function withSystemFolders(env) {
  return { ...env, PATH: [env['PATH'], ...systemFolders].filter(Boolean).join(delimiter) };
}

/**
 * Runs a command and hides its output; when it fails, all of the output is printed.
 * @throws SetupError with `failure` and the exit status
 * @param {{ command: string, args: string[], env: Record<string, string | undefined>, failure: string }} options
 */
export function runQuietly({ command, args, env, failure }) {
  const result = spawnSync(command, args, {
    env: withSystemFolders(env),
    encoding: 'utf8',
    stdio: ['inherit', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  const how = result.error?.message ?? `ended with ${result.signal ?? result.status}`;
  throw new SetupError(`${failure} (${command} ${how})`);
}
