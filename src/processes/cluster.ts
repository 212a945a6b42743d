import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { withDeadline } from '../scheduling/deadline.ts';
import { StartError } from '../start-error.ts';
import { type Channel, type Handlers, openChannel } from './channel.ts';
import { assertPortFree } from './port.ts';

/** Child processes that serve http on one port. */
export type Cluster = {
  /**
   * Opens every child, then makes them listen; resolves with the address. From then on a child that
   * ends is restarted, after a wait that doubles up to five seconds; the others go on serving.
   * @throws StartError when a child cannot start, or the system's error for a port in use
   */
  serve(service: ClusterService): Promise<string>;
  /** Sends a request to every child; calls `take` with each response that arrives within a second. */
  askAll<T>(topic: string, take: (name: string, answer: T) => void): Promise<void>;
  /** Each child finishes the requests in flight and ends; at the deadline it is killed. */
  stop(options: { quietMs: number }): Promise<void>;
};

export type ClusterService = {
  host: string;
  /** 0 for any free port. */
  port: number;
  /** The payload of `open` for the child of this name. */
  opening(name: string): unknown;
  /** Handlers for a child's requests; `close` is called when that child has ended. */
  handlersFor(name: string): { handlers: Handlers; close(): void };
};

type ClusterLog = { warn(details: object, message: string): void };
type Forked = { name: string; process: ChildProcess; ended: Promise<string> };
type Child = Forked & { channel: Channel };
type Listening = { address: string; port: number };

const backoffMs = { first: 100, most: 5_000 };
/** After a run this long the next restart begins with the shortest wait again. */
const stableAfterMs = 30_000;
const drainMsMax = 15_000;
const askMsMax = 1_000;

/**
 * Forks child processes at once, so that they load their code while the caller opens what they need.
 * A child's program answers `open`, `listen` and `stop`. The system spreads the connections to the
 * port over the children (SO_REUSEPORT).
 */
export function launchCluster(options: { count: number; file: URL; log: ClusterLog }): Cluster {
  const { count, file, log } = options;
  const stopping = new AbortController();
  const forked = Array.from({ length: count }, (_, index) => launch(file, `api-${index + 1}`));
  const children = new Map<string, Child>();
  let supervised: Promise<void>[] = [];

  function connect(child: Forked, { handlersFor }: ClusterService): Child {
    const { handlers, close } = handlersFor(child.name);
    void child.ended.then(close);
    const connected = { ...child, channel: openChannel(child.process, handlers) };
    children.set(child.name, connected);
    return connected;
  }

  async function supervise(first: Child, service: ClusterService): Promise<void> {
    const { signal } = stopping;
    const { name } = first;
    let child = first;
    let waitMs = backoffMs.first;
    let since = performance.now();
    for (;;) {
      const how = await child.ended;
      if (signal.aborted) return;
      if (performance.now() - since > stableAfterMs) waitMs = backoffMs.first;
      log.warn({ child: name, how, waitMs }, 'api process ended; restarting it');
      await delay(waitMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      waitMs = Math.min(waitMs * 2, backoffMs.most);
      since = performance.now();
      child = connect(launch(file, name), service);
      try {
        await start(child, 'open', service.opening(name));
        await start(child, 'listen', { host: service.host, port: service.port });
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        log.warn({ child: name, reason }, 'api process restart failed');
        child.process.kill('SIGKILL');
      }
    }
  }

  return {
    async serve(service) {
      const all = forked.map((child) => connect(child, service));
      await Promise.all(all.map((child) => start(child, 'open', service.opening(child.name))));
      await assertPortFree(service);
      // The first takes the port, which may be any free one; the others share it.
      let { port } = service;
      let address = '';
      for (const child of all) {
        const listening = await start<Listening>(child, 'listen', { host: service.host, port });
        port = listening.port;
        address ||= listening.address;
      }
      supervised = all.map((child) => supervise(child, { ...service, port }));
      return address;
    },

    async askAll<T>(topic: string, take: (name: string, answer: T) => void) {
      const asked = [...children.values()].map(async (child) => {
        const answer = await child.channel.ask<T>(topic);
        // A late response may be from a process that has been replaced meanwhile.
        if (children.get(child.name) === child) take(child.name, answer);
      });
      await withDeadline(Promise.allSettled(asked), askMsMax);
    },

    async stop({ quietMs }) {
      stopping.abort();
      if (supervised.length > 0) {
        await Promise.all([...children.values()].map((child) => end(child, quietMs)));
        await Promise.all(supervised);
        return;
      }
      // The start has failed: no child serves, so there is nothing to drain.
      for (const child of forked) child.process.kill('SIGKILL');
      await Promise.all(forked.map((child) => child.ended));
    },
  };
}

function launch(file: URL, name: string): Forked {
  const child = fork(file, {
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  return { name, process: child, ended: endOf(child) };
}

async function end({ process: child, channel, ended }: Child, quietMs: number): Promise<void> {
  const deadline = setTimeout(() => child.kill('SIGKILL'), quietMs + drainMsMax);
  await channel.ask('stop', { quietMs }).catch(() => {});
  if (child.connected) child.disconnect();
  await ended;
  clearTimeout(deadline);
}

/** Sends a request to a starting child; one that ends instead of responding has failed to start. */
async function start<T>(child: Child, topic: string, payload: unknown): Promise<T> {
  try {
    return await child.channel.ask<T>(topic, payload);
  } catch (error) {
    if (child.process.connected) throw startError(error);
    throw new StartError(`${child.name} ended before it served (${await child.ended})`);
  }
}

/** The channel carries an error's fields, not its class, so a StartError is created again here. */
function startError(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause;
  if ('code' in cause && cause.code === 'ENOTSUP') {
    return new StartError(
      'this system does not let processes share a port: set FLASHDROP_API_PROCESSES=1',
      { cause },
    );
  }
  return cause.name === 'StartError' ? new StartError(cause.message, { cause }) : cause;
}

/** Resolves when a child process has ended, with the signal, exit code or error. */
async function endOf(child: ChildProcess): Promise<string> {
  const failed = once(child, 'error').then(([error]) => String(error?.message ?? error));
  const exited = once(child, 'exit').then(([code, signal]) => signal ?? `exit code ${code}`);
  return await Promise.race([exited, failed]);
}
