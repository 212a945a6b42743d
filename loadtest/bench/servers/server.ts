import { type ChildProcess, fork } from 'node:child_process';
import { on } from 'node:events';

/** Messages of the measured processes; the second is the answer to a request. */
export type ServerMessage =
  | { kind: 'ready'; port: number; drops: string[] }
  | { kind: 'cpu'; micros: number };

/** A process that answers Buys and nothing else. */
export type BenchServer = {
  port: number;
  /** The drops it sells, a Buy goes to any of them. */
  drops: string[];
  /** Processor time it has used, microseconds. */
  cpuMicros(): Promise<number>;
  stop(): void;
};

/** Starts one of the programs beside this file; resolves once it serves. */
export async function startServer(
  file: string,
  settings: Record<string, string> = {},
): Promise<BenchServer> {
  const child: ChildProcess = fork(new URL(file, import.meta.url), {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const messages = on(child, 'message', { close: ['exit'] });
  const answer = async (): Promise<ServerMessage> => {
    const next = await messages.next();
    if (next.done) throw new Error(`${file} ended before it answered`);
    return next.value[0] as ServerMessage;
  };
  const ready = await answer();
  if (ready.kind !== 'ready') throw new Error(`${file} said ${ready.kind} first`);
  return {
    port: ready.port,
    drops: ready.drops,
    async cpuMicros() {
      child.send('cpu');
      const told = await answer();
      return told.kind === 'cpu' ? told.micros : Number.NaN;
    },
    // Its folder and its part of Redis go with the bench's own.
    stop: () => void child.kill('SIGKILL'),
  };
}

/** In a measured process: reports to the bench that it serves, and its CPU time on request. */
export function serve(ready: { port: number; drops: string[] }): void {
  const tell = (message: ServerMessage) => process.send?.(message);
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    tell({ kind: 'cpu', micros: user + system });
  });
  process.on('disconnect', () => process.exit());
  tell({ kind: 'ready', ...ready });
}
