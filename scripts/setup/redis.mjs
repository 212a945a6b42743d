import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  dockerAnswers,
  dockerHasImage,
  findRedisServer,
  isNewEnough,
  oldestRedis,
  redisImage,
} from '../../src/embedded/find-redis.mjs';
import { runQuietly, SetupError, say, sayDone, withSystemFolders } from './quiet.mjs';

/**
 * Installs redis-server without starting it: a policy-rc.d that refuses every service start is in
 * place while apt runs, and the service is disabled at boot. Only the engine's own child shall run.
 */
const aptScript = `
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT INT TERM
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod 755 "$policy"
fi
apt-get install -y --no-install-recommends redis-server
update-rc.d redis-server disable || true
`;

/**
 * Makes sure that a Redis server can be started here: an installed one, else one that the platform's
 * package manager installs, else an image for a Docker engine.
 * @throws SetupError that names every way out
 * @param {{ env: Record<string, string | undefined>, places?: string[] }} options
 */
export function ensureRedis({ env, places }) {
  const find = () => findRedisServer({ env, ...(places && { places }) });
  const first = find();
  if (first.kind === 'local') return;
  // An empty one forbids too: nobody sets it to allow what is allowed anyway.
  const refused = ![undefined, '0'].includes(env['FLASHDROP_NO_INSTALL']);
  const named = Boolean(env['FLASHDROP_REDIS_SERVER']);
  if (!refused && !named && tryInstall(env) && find().kind === 'local') return;
  if (!named && dockerAnswers(env)) return ensureImage({ env, refused });
  throw new SetupError(explain({ rejected: first.rejected, refused, named }));
}

/** @param {{ rejected: string[], refused: boolean, named: boolean }} options */
function explain({ rejected, refused, named }) {
  const found = rejected.length > 0 ? ` (${rejected.join('; ')})` : '';
  const cause = `no redis-server or valkey-server of ${oldestRedis} or newer was found${found}`;
  if (named) return `${cause}. Correct FLASHDROP_REDIS_SERVER, or unset it to search the PATH`;
  if (process.platform === 'win32') {
    return `${cause}. Redis does not run on Windows itself: use WSL, or start Docker Desktop`;
  }
  const asked = refused ? ', FLASHDROP_NO_INSTALL forbids installing one' : '';
  return (
    `${cause}${asked}, and no Docker engine answers. Install Redis ` +
    '(apt-get install redis-server, brew install redis), or name a server with ' +
    'FLASHDROP_REDIS_SERVER=/path/to/redis-server or REDIS_URL=redis://host:port'
  );
}

/**
 * @param {Record<string, string | undefined>} env
 * @returns {boolean} whether a package manager was found and installed it
 */
function tryInstall(env) {
  const since = performance.now();
  try {
    const installed = install(env);
    if (installed) sayDone('installed redis-server', since);
    return installed;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    return false;
  }
}

/** @param {Record<string, string | undefined>} env */
function install(env) {
  if (process.platform === 'linux' && has('apt-get', env)) return installWithApt(env);
  if (has('brew', env) && process.getuid?.() !== 0) {
    announce('brew');
    runQuietly({
      command: 'brew',
      args: ['install', 'redis'],
      env,
      failure: 'brew could not install redis; its output is above',
    });
    return true;
  }
  return false;
}

/** @param {Record<string, string | undefined>} env */
function installWithApt(env) {
  const root = process.getuid?.() === 0;
  if (!root && !has('sudo', env)) return false;
  const asRoot = root ? [] : ['sudo', ...(process.stdin.isTTY ? [] : ['-n'])];
  if (!root && !process.stdin.isTTY && !succeeds(['sudo', '-n', 'true'], env)) return false;
  /** @type {(line: string[], failure: string) => void} */
  const run = (line, failure) => {
    const [command = '', ...args] = [...asRoot, ...line];
    runQuietly({ command, args, env, failure });
  };
  announce(root ? 'apt-get' : 'sudo apt-get');
  if (!candidateVersion(env)) run(['apt-get', 'update'], 'apt-get update failed; see above');
  const candidate = candidateVersion(env);
  if (!candidate || !isNewEnough(candidate)) {
    say(
      candidate
        ? `apt offers redis-server ${candidate}, which is too old`
        : 'apt offers no redis-server',
    );
    return false;
  }
  try {
    run(['sh', '-c', aptScript], 'apt-get could not install redis-server');
  } catch {
    // Outdated package lists name versions that the mirror no longer serves.
    say('the package lists may be out of date; updating them and trying once more');
    run(['apt-get', 'update'], 'apt-get update failed; its output is above');
    run(['sh', '-c', aptScript], 'apt-get could not install redis-server; its output is above');
  }
  return true;
}

/** @param {string} how */
function announce(how) {
  say(`no redis-server found; installing it with ${how} (FLASHDROP_NO_INSTALL=1 refuses this)`);
}

/** @param {Record<string, string | undefined>} env */
function candidateVersion(env) {
  const { stdout } = spawnSync('apt-cache', ['policy', 'redis-server'], {
    env: { ...withSystemFolders(env), LC_ALL: 'C' },
    encoding: 'utf8',
  });
  return /Candidate: (?:\d+:)?(\d+\.\d+[.\d]*)/.exec(stdout ?? '')?.[1];
}

/** @param {{ env: Record<string, string | undefined>, refused: boolean }} options */
function ensureImage({ env, refused }) {
  if (dockerHasImage(env, redisImage)) return;
  if (refused) {
    throw new SetupError(
      `no redis-server was found and FLASHDROP_NO_INSTALL forbids fetching one; ` +
        `run "docker pull ${redisImage}" or install Redis`,
    );
  }
  say(`no redis-server found; fetching the Docker image ${redisImage}`);
  const since = performance.now();
  runQuietly({
    command: 'docker',
    args: ['pull', redisImage],
    env,
    failure: `no redis-server was found and Docker could not fetch ${redisImage}; install Redis`,
  });
  sayDone(`fetched the Docker image ${redisImage}`, since);
}

/**
 * @param {string} program
 * @param {Record<string, string | undefined>} env
 */
function has(program, env) {
  const folders = (withSystemFolders(env).PATH ?? '').split(':');
  return folders.some((folder) => existsSync(`${folder}/${program}`));
}

/**
 * @param {string[]} line
 * @param {Record<string, string | undefined>} env
 */
function succeeds(line, env) {
  const [command = '', ...args] = line;
  return spawnSync(command, args, { env: withSystemFolders(env) }).status === 0;
}
