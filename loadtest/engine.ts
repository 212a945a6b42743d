import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The engine as `npm start` runs it, on a data folder of its own. */
export type EngineProcess = {
  address: string;
  /** Of the operators' routes. */
  opsAddress: string;
  pid: number;
  merchantKey: string;
  /** SIGKILL: no drain, no close. */
  kill(): Promise<void>;
  /** SIGTERM: quiet, drain, close. */
  stop(): Promise<void>;
};

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/**
 * Starts the engine in demo mode, with more flags and settings if given; resolves once it serves.
 * Aborting `stop` while it starts ends it, and rejects when it is gone.
 */
export async function startEngine(options: {
  data: string;
  port: number;
  args?: string[];
  env?: Record<string, string>;
  stop?: AbortSignal;
}): Promise<EngineProcess> {
  const { data, port, args = [], env = {}, stop } = options;
  const entry = [...process.execArgv, main];
  const child = spawn(
    process.execPath,
    [...entry, '--data', data, '--port', String(port), ...args],
    {
      // Buyers of a load test pay from the wallet: simulated providers would only take its cores.
      env: { ...process.env, FLASHDROP_DEMO: 'on', FLASHDROP_SIMULATORS: 'off', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
      // A group of its own: Ctrl-C goes to the terminal's whole group, and who started it ends it.
      detached: true,
    },
  );
  const giveUp = () => void child.kill('SIGTERM');
  stop?.addEventListener('abort', giveUp);
  if (stop?.aborted) giveUp();
  const { address, opsAddress } = await untilServing(child);
  stop?.removeEventListener('abort', giveUp);
  const secrets = JSON.parse(readFileSync(join(data, 'secrets.json'), 'utf8'));
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  return {
    address,
    opsAddress,
    pid: child.pid as number,
    merchantKey: secrets.merchantKey,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  };
}

type Addresses = Pick<EngineProcess, 'address' | 'opsAddress'>;

async function untilServing(child: ChildProcess): Promise<Addresses> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const serving = new Promise<Addresses>((resolve) => {
    let address = '';
    lines.on('line', (text) => {
      address = /^flashdrop serves at (\S+)/.exec(text)?.[1] ?? address;
      const opsAddress = /^ {2}metrics +(\S+)\/metrics$/.exec(text)?.[1];
      if (opsAddress) resolve({ address, opsAddress });
    });
  });
  const ended = once(child, 'exit').then(() => undefined);
  const addresses = await Promise.race([serving, ended]);
  if (!addresses) throw new Error('the engine ended before it served: see its message above');
  return addresses;
}
