import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { StartError } from '../start-error.ts';
import { errorCode } from './error-code.ts';

/** The process that holds a data folder. `born` distinguishes it from a later process with its pid. */
export type Holder = { pid: number; born: string; host: string; token: string; address?: string };

export type Lock = {
  /** Writes the engine's address to the lock. */
  announce(address: string): void;
  release(): void;
};

/** How often a holder touches its lock, and how old a lock of another host may be to count as held. */
const beatMs = 5_000;
const beatMsMax = 20_000;

const takeoverTriesMax = 5;

/** Tokens of the locks that this process holds: of the locks with its pid, only these are in force. */
const heldHere = new Set<string>();

/**
 * Takes the folder's lock for this process. A lock whose holder is gone is taken over.
 * @throws StartError naming the holder when it is alive
 */
export function takeLock(folder: string): Lock {
  const path = join(folder, 'lock.json');
  const mine: Holder = {
    pid: process.pid,
    born: bornAt(process.pid) ?? '',
    host: hostname(),
    token: randomUUID(),
  };
  for (let tries = 0; tries < takeoverTriesMax; tries++) {
    if (create(path, mine)) return held(path, mine);
    const holder = readHolder(folder);
    if (holder && isAlive(holder, path)) throw new StartError(refusal(folder, holder));
    removeStale(path, holder);
  }
  throw new StartError(`${folder} is being taken by another instance; use another --data FOLDER`);
}

/** The holder that a data folder's lock names, alive or not. */
export function readHolder(folder: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'lock.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

function held(path: string, mine: Holder): Lock {
  const isMine = () => readHolder(dirname(path))?.token === mine.token;
  const beat = setInterval(() => {
    const now = new Date();
    if (isMine()) utimesSync(path, now, now);
  }, beatMs);
  beat.unref();
  heldHere.add(mine.token);
  return {
    announce: (address) => {
      const next = `${path}.${mine.token}`;
      writeFileSync(next, JSON.stringify({ ...mine, address }), { mode: 0o600 });
      renameSync(next, path);
    },
    release: () => {
      clearInterval(beat);
      heldHere.delete(mine.token);
      if (isMine()) rmSync(path, { force: true });
    },
  };
}

/** Writes a lock file beside the lock and links it into place, so that no process reads half of one. */
function create(path: string, mine: Holder): boolean {
  const draft = `${path}.${mine.token}`;
  writeFileSync(draft, JSON.stringify(mine), { mode: 0o600 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Moves a dead holder's lock away. If another process took the lock meanwhile, its lock is put back. */
function removeStale(path: string, stale: Holder | undefined): void {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
    const moved: Holder = JSON.parse(readFileSync(aside, 'utf8'));
    if (moved.token !== stale?.token) linkSync(aside, path);
  } catch {
    // Gone or unreadable: the next try decides.
  } finally {
    rmSync(aside, { force: true });
  }
}

function isAlive(holder: Holder, path: string): boolean {
  if (holder.host !== hostname()) {
    // Pids of another host or container mean nothing here, so the age of the lock decides.
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    return age < beatMsMax;
  }
  // A container that starts again often has the same pid as the dead one before it.
  if (holder.pid === process.pid) return heldHere.has(holder.token);
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (errorCode(error) !== 'EPERM') return false;
  }
  const born = bornAt(holder.pid);
  return born === undefined || holder.born === '' || born === holder.born;
}

/** When a process started, in the system's own unit; undefined when the system does not say. */
function bornAt(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 22; the second field is the program's name and may itself hold spaces and brackets.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    const ps = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
    return ps.status === 0 ? ps.stdout.trim() || undefined : undefined;
  }
}

function refusal(folder: string, { pid, host, address }: Holder): string {
  const where = address ? ` at ${address}` : '';
  if (host !== hostname()) {
    return (
      `${folder} is in use by flashdrop on host ${host}${where}: stop that one, or use another ` +
      `--data FOLDER (if it is gone, try again in ${beatMsMax / 1_000} s)`
    );
  }
  return (
    `${folder} is in use by flashdrop, process ${pid}${where}: ` +
    `use it, stop it (kill ${pid}), or start with another --data FOLDER and --port PORT`
  );
}
