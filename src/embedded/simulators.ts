import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { withDeadline } from '../scheduling/deadline.ts';
import { StartError } from '../start-error.ts';

/** Simulated payment providers for the demo, in a process of their own; they move no money. */
export type Simulators = {
  /** Resolves once they serve. @throws StartError */
  serving(): Promise<SimulatedProvider[]>;
  stop(): Promise<void>;
};

export type SimulatedProvider = {
  provider: string;
  /** Base URL of its API and of the page on which a buyer pays. */
  url: string;
  /** The engine's settings for this provider. */
  settings: Record<string, string>;
};

type Log = { warn(details: object, message: string): void };

const program = new URL('../../simulators/main.ts', import.meta.url);
const startMsMax = 20_000;
const stopMsMax = 3_000;

/**
 * Starts the simulators and does not wait until they serve. They end when this process ends, even by a
 * kill, since the channel to it closes.
 */
export function startSimulators({
  publicUrl,
  books,
  log,
  compileCache,
}: {
  /** Where the simulators reach the engine. */
  publicUrl: string;
  /** Folder in which they keep their books: an engine that starts again asks for payments of before. */
  books: string;
  log: Log;
  compileCache: string | undefined;
}): Simulators {
  const child = fork(program, ['all', '--public-url', publicUrl, '--books', books], {
    // The simulators must not have the engine's settings.
    env: { ...(compileCache && { NODE_COMPILE_CACHE: compileCache }) },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // A process group of its own: Ctrl-C goes to the terminal's whole group, and a drain may need them.
    detached: true,
  });
  const ended = endOf(child);
  const serving = untilServing(child, ended);
  serving.catch(() => {}); // Not unhandled: when another step of the start fails, nothing awaits it.
  let stopping = false;
  void Promise.all([serving, ended]).then(([, how]) => {
    if (!stopping)
      log.warn(
        { how },
        'the simulated payment providers ended; restart the engine to have them again',
      );
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
  const announced: SimulatedProvider[] = [];
  const allServe = new Promise<'serving'>((resolve) => {
    child.on('message', (message: SimulatedProvider | { serving: true }) => {
      if ('serving' in message) resolve('serving');
      else announced.push(message);
    });
  });
  const first = await withDeadline(Promise.race([allServe, ended]), startMsMax);
  if (first === 'serving') return announced;
  child.kill('SIGKILL');
  throw new StartError(
    `the simulated payment providers did not start (${first ?? 'no answer'}): ` +
      'set FLASHDROP_SIMULATORS=off to do without them',
  );
}

async function endOf(child: ChildProcess): Promise<string> {
  const failed = once(child, 'error').then(([error]) => String(error?.message ?? error));
  const exited = once(child, 'exit').then(([code, signal]) => signal ?? `exit code ${code}`);
  return await Promise.race([exited, failed]);
}
