// Plain JavaScript: the set-up runs this on Node 20, before anything is installed.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The oldest Redis that knows `#!lua`, by which a script is refused before it runs when memory is short. */
export const oldestRedis = '7.0';

/** The image to run where there is no redis-server but a Docker engine. */
export const redisImage = 'redis:7';

const names = ['redis-server', 'valkey-server'];

/** Where package managers install servers; a shortened PATH may lack these folders. */
export const usualPlaces = [
  '/usr/local/bin',
  '/usr/bin',
  '/usr/sbin',
  '/opt/homebrew/bin',
  '/home/linuxbrew/.linuxbrew/bin',
  '/opt/local/bin',
  '/snap/bin',
];

/**
 * @typedef {Record<string, string | undefined>} Environment
 * @typedef {{ kind: 'local', path: string, version: string }} LocalServer
 * @typedef {{ kind: 'docker', image: string }} DockerServer
 * @typedef {LocalServer | DockerServer} RedisServer
 * @typedef {{ kind: 'missing', rejected: string[] }} Missing the servers found, each with why it was rejected
 */

/**
 * Finds a Redis server: only `FLASHDROP_REDIS_SERVER` when that is set, else the first one on PATH or in
 * `places` that is new enough.
 * @param {{ env: Environment, places?: string[] }} options
 * @returns {LocalServer | Missing}
 */
export function findRedisServer({ env, places = usualPlaces }) {
  const rejected = [];
  for (const path of candidates(env, places)) {
    const version = serverVersion(path);
    if (version && isNewEnough(version)) return { kind: 'local', path, version };
    rejected.push(
      version ? `${path} is ${version}` : `${path} does not answer --version like a Redis server`,
    );
  }
  if (env['FLASHDROP_REDIS_SERVER'] && rejected.length === 0) {
    rejected.push(
      `FLASHDROP_REDIS_SERVER names ${env['FLASHDROP_REDIS_SERVER']}, which cannot be run`,
    );
  }
  return { kind: 'missing', rejected };
}

/**
 * @param {Environment} env
 * @param {string[]} places
 */
function candidates(env, places) {
  if (env['FLASHDROP_REDIS_SERVER']) return [env['FLASHDROP_REDIS_SERVER']].filter(isProgram);
  const folders = new Set([...(env['PATH'] ?? '').split(delimiter).filter(Boolean), ...places]);
  return [...folders].flatMap((folder) =>
    names.map((name) => join(folder, name)).filter(isProgram),
  );
}

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** @param {string} path */
function serverVersion(path) {
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 5_000 });
  return /server v=(\d+\.\d+\.\d+)/i.exec(stdout ?? '')?.[1];
}

/** @param {string} version such as 7.2.4 */
export function isNewEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldestRedis.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/**
 * Whether a Docker engine answers here.
 * @param {Environment} env
 */
export function dockerAnswers(env) {
  const { status } = docker(env, ['version', '--format', '{{.Server.Version}}']);
  return status === 0;
}

/**
 * @param {Environment} env
 * @param {string} image
 */
export function dockerHasImage(env, image) {
  return docker(env, ['image', 'inspect', '--format', '{{.Id}}', image]).status === 0;
}

/**
 * @param {Environment} env
 * @param {string[]} args
 */
function docker(env, args) {
  return spawnSync('docker', args, { env, encoding: 'utf8', timeout: 5_000 });
}
