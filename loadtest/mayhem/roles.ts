import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A process of the engine, in one of its roles. */
export type RoleProcess = {
  address: string;
  /** SIGKILL: no drain, no close. */
  kill(): Promise<void>;
  stop(): Promise<void>;
};

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Starts a process of the engine and resolves once it serves. Its log goes to a file in `logs`. */
export async function startRole(options: {
  role: 'api' | 'worker';
  name: string;
  port?: number;
  env: Record<string, string>;
  logs: string;
}): Promise<RoleProcess> {
  const { role, name, port = 0, env, logs } = options;
  const log = openSync(join(logs, `${name}.log`), 'a');
  const child = spawn(process.execPath, [main, '--port', String(port), '--api-processes', '1'], {
    // Nothing of the caller's own settings.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], FLASHDROP_ROLE: role, ...env },
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    stdio: ['ignore', 'pipe', log],
  });
  closeSync(log);
  const exited = once(child, 'exit');
  const serving = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const address = /^flashdrop serves at (\S+)/.exec(line)?.[1];
      if (address) resolve(address);
    });
  });
  const address = await Promise.race([serving, exited.then(() => undefined)]);
  if (!address) throw new Error(`the ${name} ended before it served: see ${logs}/${name}.log`);
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await exited;
  };
  return { address, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') };
}
