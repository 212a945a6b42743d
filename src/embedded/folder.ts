import { randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { newId } from '../domain/ids.ts';
import { StartError } from '../start-error.ts';
import { errorCode } from './error-code.ts';
import { takeLock } from './lock.ts';
import { endOrphan } from './orphan.ts';

/** Generated once for a data folder, so that tokens stay valid over a restart. */
export type Secrets = {
  jwtSecret: string;
  redisPassword: string;
  merchantKey: string;
  operatorKey: string;
};

export type DataFolder = {
  path: string;
  /** Folder of the embedded Redis. */
  redis: string;
  /** Folder of the embedded ledger; PGlite creates it. */
  ledger: string;
  /** Folder of the simulated providers' books; they create it. */
  simulators: string;
  secrets: Secrets;
  /** Writes the engine's address to the lock, for the operator's commands and for a refused second start. */
  announce(address: string): void;
  close(): void;
};

const marker = 'flashdrop.json';
const ownNames = ['redis', 'ledger', 'simulators', 'secrets.json'];

/**
 * Opens a data folder for this process alone: creates it, takes its lock, ends a Redis that a killed
 * engine left running on it, and reads or generates its secrets. `fresh` empties it first.
 * @throws StartError when the folder cannot be used, with what to do
 */
export async function openFolder(options: { path: string; fresh: boolean }): Promise<DataFolder> {
  const path = prepare(options.path);
  const lock = takeLock(path);
  try {
    const redis = join(path, 'redis');
    const before = readSecrets(path);
    if (existsSync(redis)) await endOrphan({ folder: redis, password: before?.redisPassword });
    if (options.fresh) {
      for (const name of ownNames) rmSync(join(path, name), { recursive: true, force: true });
    }
    mkdirSync(redis, { recursive: true, mode: 0o700 });
    const secrets = completed(path, readSecrets(path)) ?? makeSecrets(path);
    const ledger = join(path, 'ledger');
    const simulators = join(path, 'simulators');
    const { announce, release: close } = lock;
    return { path, redis, ledger, simulators, secrets, announce, close };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Creates the folder; refuses an existing one that has files but not our marker. */
function prepare(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    if (!existsSync(join(path, marker))) {
      if (readdirSync(path).length > 0) {
        throw new StartError(
          `${path} holds files that are not flashdrop's: give --data an empty or a new folder`,
        );
      }
      chmodSync(path, 0o700);
      writeFileSync(join(path, marker), `${JSON.stringify({ kind: 'data folder', version: 1 })}\n`);
    }
    return realpathSync(path);
  } catch (error) {
    if (error instanceof StartError) throw error;
    const code = errorCode(error) ?? String(error);
    const why = reasons[code] ?? code;
    throw new StartError(
      `${path} cannot be the data folder (${why}): give --data a folder that can be written`,
      { cause: error },
    );
  }
}

const reasons: Record<string, string | undefined> = {
  EACCES: 'no permission',
  EPERM: 'no permission',
  EROFS: 'read-only file system',
  EEXIST: 'it is a file',
  ENOTDIR: 'part of the path is a file',
  ENOSPC: 'no space left',
};

/** Folders of earlier versions have no operator key. */
type KeptSecrets = Omit<Secrets, 'operatorKey'> & Partial<Secrets>;

/**
 * The secrets of a data folder; undefined when it has none.
 * @throws StartError when the file is damaged
 */
export function readSecrets(folder: string): KeptSecrets | undefined {
  const path = join(folder, 'secrets.json');
  if (!existsSync(path)) return undefined;
  try {
    const { jwtSecret, redisPassword, merchantKey, operatorKey } = JSON.parse(
      readFileSync(path, 'utf8'),
    );
    for (const value of [jwtSecret, redisPassword, merchantKey, operatorKey ?? jwtSecret]) {
      if (typeof value !== 'string' || value.length < 32) throw new Error('a secret is missing');
    }
    const kept: KeptSecrets = { jwtSecret, redisPassword, merchantKey };
    return operatorKey ? { ...kept, operatorKey } : kept;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(
      `${path} cannot be read (${reason}): restore it, or delete it, ` +
        'which makes every token given out so far invalid',
      { cause: error },
    );
  }
}

const secret = () => randomBytes(32).toString('base64url');

function makeSecrets(folder: string): Secrets {
  const secrets = {
    jwtSecret: secret(),
    redisPassword: secret(),
    merchantKey: `fdk_${newId('').slice(1)}_${secret()}`, // The form of an API key in the ledger.
    operatorKey: secret(),
  };
  // Exclusive and fsynced: tokens are signed with what this file holds.
  writeFileSync(join(folder, 'secrets.json'), `${JSON.stringify(secrets, null, 2)}\n`, {
    mode: 0o600,
    flag: 'wx',
    flush: true,
  });
  return secrets;
}

/** Adds the secret that a folder of an earlier version lacks; a rename replaces the file as a whole. */
function completed(folder: string, kept: KeptSecrets | undefined): Secrets | undefined {
  if (!kept) return undefined;
  const { operatorKey } = kept;
  if (operatorKey) return { ...kept, operatorKey };
  const secrets = { ...kept, operatorKey: secret() };
  const draft = join(folder, 'secrets.json.new');
  writeFileSync(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(draft, join(folder, 'secrets.json'));
  return secrets;
}
