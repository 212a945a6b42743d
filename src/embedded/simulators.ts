import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '../start-error.ts';

/** Payment providers of no money, for the demo: a process of their own, known by the wire alone. */
export type Simulators = {
  /** Resolves once they serve. @throws StartError */
  serving(): Promise<SimulatedProvider[]>;
  stop(): Promise<void>;
};

export type SimulatedProvider = {
  provider: string;
  /** Where it serves: its API and the page on which a buyer pays. */
  url: string;
  /** Settings of ours by which we talk to it. */
  settings: Record<string, string>;
};

type Log = { warn(details: object, message: string): void };

const program = new URL('../../simulators/main.ts', import.meta.url);
const startMsMax = 20_000;
const stopMsMax = 3_000;

/**
 * Starts them and does not wait. They end with this process, however it ends: their channel to it
 * is then gone.
 */
export function startSimulators({
  log,
  compileCache,
}: {
  log: Log;
  compileCache: string | undefined;
}): Simulators {
  const child = fork(program, ['all'], {
    // The simulators must not know the engine's settings.
    env: { ...(compileCache && { NODE_COMPILE_CACHE: compileCache }) },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // A group of its own: Ctrl-C goes to the terminal's whole group, and we may need them to drain.
    detached: true,
  });
  const ended = howItEnds(child);
  const serving = untilServing(child, ended);
  serving.catch(() => {}); // Told to whoever waits for it, which may be nobody if a start fails.
  let stopping = false;
  void Promise.all([serving, ended]).then(([, how]) => {
    if (!stopping) log.warn({ how }, 'the simulated payment providers ended: start again for them');
  });

  return {
    serving: () => serving,
    async stop() {
      stopping = true;
      child.kill('SIGTERM');
      const deadline = setTimeout(() => child.kill('SIGKILL'), stopMsMax);
      await ended;
      clearTimeout(deadline);
    },
  };
}

async function untilServing(
  child: ChildProcess,
  ended: Promise<string>,
): Promise<SimulatedProvider[]> {
  const told: SimulatedProvider[] = [];
  const all = new Promise<void>((resolve) => {
    child.on('message', (message: SimulatedProvider | { serving: true }) => {
      if ('serving' in message) resolve();
      else told.push(message);
    });
  });
  const late = delay(startMsMax, 'no answer', { ref: false });
  const why = await Promise.race([all, ended, late]);
  if (why === undefined) return told;
  child.kill('SIGKILL');
  throw new StartError(
    `the simulated payment providers did not start (${why}): ` +
      'set FLASHDROP_SIMULATORS=off to do without them',
  );
}

async function howItEnds(child: ChildProcess): Promise<string> {
  const failed = once(child, 'error').then(([error]) => (error as Error).message);
  const exited = once(child, 'exit').then(([code, signal]) => signal ?? `exit code ${code}`);
  return await Promise.race([exited, failed]);
}
