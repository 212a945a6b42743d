import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openFolder } from '../../src/embedded/folder.ts';
import { eventually } from './eventually.ts';
import { startMs } from './patience.ts';
import { type Ended, type Program, startProgram } from './program.ts';
import { copyLedger } from './test-ledger.ts';

/** The engine as `npm start` runs it: a process of its own, which may be killed. */
export type EngineProcess = {
  address: string;
  /** Of the operators' routes. */
  opsAddress: string;
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
  if (data !== undefined && !existsSync(join(data, 'ledger'))) await prepareFolder(data);
  const program = startProgram(entry, {
    args: entry === 'src/main.ts' ? [...folder, '--port', String(port), ...args] : args,
    env: { FLASHDROP_DEMO: 'on', FLASHDROP_SIMULATORS: 'off', ...env },
  });
  const { address, opsAddress } = await untilServing(program);
  return {
    address,
    opsAddress,
    merchantKey: data === undefined ? undefined : readKey(data),
    pid: program.pid,
    ended: program.ended,
    kill(signal) {
      program.kill(signal);
      return program.ended;
    },
  };
}

/** Makes a data folder with a fresh ledger, which costs the engine several seconds to make. */
async function prepareFolder(path: string): Promise<void> {
  const folder = await openFolder({ path, fresh: false });
  try {
    await copyLedger(folder.ledger);
  } finally {
    folder.close();
  }
}

async function untilServing(
  program: Program,
): Promise<Pick<EngineProcess, 'address' | 'opsAddress'>> {
  const died = program.ended.then(({ err }) => Promise.reject(new Error(`did not start: ${err}`)));
  died.catch(() => {}); // Later the test itself waits for its end.
  const serving = eventually(() => addressesIn(program.printed().out), { withinMs: startMs });
  return await Promise.race([serving, died]);
}

/** What the engine's banner says; an entry of a test's own prints the first line alone. */
function addressesIn(printed: string) {
  const address = /serves at (http\S+)/.exec(printed)?.[1];
  const opsAddress = /^ {2}metrics +(\S+)\/metrics$/m.exec(printed)?.[1];
  if (address === undefined) return undefined;
  if (opsAddress === undefined && printed.includes('(started in')) return undefined;
  return { address, opsAddress: opsAddress ?? '' };
}

function readKey(data: string): string | undefined {
  const { merchantKey } = JSON.parse(readFileSync(join(data, 'secrets.json'), 'utf8'));
  return merchantKey as string | undefined;
}
