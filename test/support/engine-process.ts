import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { type Ended, type Program, startProgram } from './program.ts';

/** The engine as `npm start` runs it: a process of its own, which may be killed. */
export type EngineProcess = {
  address: string;
  /** The demo store's key; undefined where no data folder holds one. */
  merchantKey: string | undefined;
  pid: number;
  ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): Promise<Ended>;
};

export type EngineProcessOptions = {
  /** Its data folder. */
  data?: string;
  port?: number;
  /** Another entry than the engine's own, which says where it serves in the same words. */
  entry?: string;
  args?: string[];
  env?: Record<string, string>;
};

/** Starts an engine in demo mode and resolves once it serves. */
export async function startEngineProcess(options: EngineProcessOptions): Promise<EngineProcess> {
  const { data, port = 0, entry = 'src/main.ts', args = [], env = {} } = options;
  const folder = data === undefined ? [] : ['--data', data];
  const program = startProgram(entry, {
    args: entry === 'src/main.ts' ? [...folder, '--port', String(port), ...args] : args,
    env: { FLASHDROP_DEMO: 'on', FLASHDROP_SIMULATORS: 'off', ...env },
  });
  const address = await untilServing(program);
  return {
    address,
    merchantKey: data === undefined ? undefined : readKey(data),
    pid: program.pid,
    ended: program.ended,
    kill(signal) {
      program.kill(signal);
      return program.ended;
    },
  };
}

async function untilServing(program: Program): Promise<string> {
  const died = program.ended.then(({ err }) => Promise.reject(new Error(`did not start: ${err}`)));
  died.catch(() => {}); // later on its end is what the test asks for
  const serving = eventually(() => /serves at (http\S+)/.exec(program.printed().out)?.[1], {
    withinMs: 30_000,
  });
  return await Promise.race([serving, died]);
}

function readKey(data: string): string | undefined {
  const { merchantKey } = JSON.parse(readFileSync(join(data, 'secrets.json'), 'utf8'));
  return merchantKey as string | undefined;
}
