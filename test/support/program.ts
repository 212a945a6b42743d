import { spawn } from 'node:child_process';
import { resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

/**
 * Options of Node for processes that live for a test. PGlite's larger functions take V8 seconds of
 * CPU and hundreds of megabytes to optimize, more than a short life ever gains from it.
 */
export const nodeFlags = ['--liftoff-only'];

/** Where these processes keep what they have compiled: a start from it takes a third less processor time. */
export const compileCache = resolve(root, 'node_modules/.cache/flashdrop/compiled-by-tests');

export type Ended = { code: number | null; signal: string | null; out: string; err: string };

export type Program = {
  pid: number;
  ended: Promise<Ended>;
  /** What it has printed so far. */
  printed(): { out: string; err: string };
  kill(signal: NodeJS.Signals): void;
};

/** Starts a TypeScript or JavaScript file of this repository as a process of its own. */
export function startProgram(
  file: string,
  {
    args = [],
    env = {},
    cwd = root,
  }: {
    args?: string[];
    env?: Record<string, string>;
    cwd?: string;
  } = {},
): Program {
  const child = spawn(process.execPath, [...nodeFlags, resolve(root, file), ...args], {
    cwd,
    // Nothing of the caller's own settings: only what finds a redis-server.
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      NODE_COMPILE_CACHE: compileCache,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    printed.out += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    printed.err += chunk;
  });
  const ended = new Promise<Ended>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code, signal) => done({ code, signal, ...printed }));
  });
  return {
    pid: child.pid ?? 0,
    ended,
    printed: () => ({ ...printed }),
    kill: (signal) => child.kill(signal),
  };
}

/** Runs a file to its end. */
export function runProgram(file: string, options?: Parameters<typeof startProgram>[1]) {
  return startProgram(file, options).ended;
}
