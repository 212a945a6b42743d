import { spawnSync } from 'node:child_process';
import { delimiter } from 'node:path';

/** A reason to stop the set-up that a user can act on. */
export class SetupError extends Error {}

/** Package managers call tools from folders that a shortened PATH may not hold. */
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

/** @param {Record<string, string | undefined>} env */
export function withSystemFolders(env) {
  return { ...env, PATH: [env['PATH'], ...systemFolders].filter(Boolean).join(delimiter) };
}

/**
 * Runs a command without its noise; when it fails, everything it said is shown.
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
