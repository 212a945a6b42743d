import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '../start-error.ts';
import { type Channel, type Handlers, openChannel } from './channel.ts';
import { assertPortFree } from './port.ts';

/** The api processes that share a port. */
export type Cluster = {
  /** Where they serve. */
  address: string;
  /** Hands over what each member answers, by its name; one that takes too long is left out. */
  askAll<T>(topic: string, take: (name: string, answer: T) => void): Promise<void>;
  /** Each finishes what is in flight and ends; at the deadline it is ended. */
  stop(options: { quietMs: number }): Promise<void>;
};

export type ClusterOptions = {
  count: number;
  host: string;
  port: number;
  /** The program of a member; it answers `open`, `listen` and `stop`. */
  file: URL;
  /** What a member is opened with. */
  opening(name: string): unknown;
  /** What a member may ask, and what to do once it has ended. */
  serve(name: string): { handlers: Handlers; close(): void };
  log: ClusterLog;
};

type ClusterLog = { warn(details: object, message: string): void };

type Member = { name: string; child: ChildProcess; channel: Channel; ended: Promise<string> };

const backoffMs = { first: 100, most: 5_000 };
/** A member that has run this long was well: its next restart begins with the short wait again. */
const wellAfterMs = 30_000;
const drainMsMax = 15_000;
const askMsMax = 1_000;

/**
 * Starts processes that serve on one port, and keeps them running: one that ends unasked is started
 * again, after a wait that doubles up to five seconds, while the others serve on. The system spreads
 * the connections over them (SO_REUSEPORT).
 * @throws StartError when one of them cannot start, or the system's error for a busy port
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { count, host, log } = options;
  const names = Array.from({ length: count }, (_, index) => `api-${index + 1}`);
  const members = new Map<string, Member>();
  const stopping = new AbortController();
  const { signal } = stopping;

  function launch(name: string): Member {
    const child = fork(options.file, {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const { handlers, close } = options.serve(name);
    const ended = howItEnds(child);
    void ended.then(close);
    const member = { name, child, channel: openChannel(child, handlers), ended };
    members.set(name, member);
    return member;
  }

  /** Asks a member that starts. One that ends instead of answering cannot be started. */
  async function ask<T>(member: Member, topic: string, payload: unknown): Promise<T> {
    try {
      return await member.channel.ask<T>(topic, payload);
    } catch (error) {
      if (member.child.connected) throw told(error as Error);
      throw new StartError(`${member.name} ended before it served (${await member.ended})`);
    }
  }

  const open = (member: Member) => ask<void>(member, 'open', options.opening(member.name));
  const listen = (member: Member, port: number) =>
    ask<{ address: string; port: number }>(member, 'listen', { host, port });

  async function supervise(first: Member, port: number): Promise<void> {
    let member = first;
    let waitMs = backoffMs.first;
    let since = performance.now();
    for (;;) {
      const how = await member.ended;
      if (signal.aborted) return;
      if (performance.now() - since > wellAfterMs) waitMs = backoffMs.first;
      log.warn({ member: member.name, how, waitMs }, 'an api process ended unasked: starting anew');
      await delay(waitMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      waitMs = Math.min(waitMs * 2, backoffMs.most);
      since = performance.now();
      member = launch(member.name);
      try {
        await open(member);
        await listen(member, port);
      } catch (error) {
        log.warn({ member: member.name, reason: (error as Error).message }, 'it does not start');
        member.child.kill('SIGKILL');
      }
    }
  }

  async function end(member: Member, quietMs: number): Promise<void> {
    const deadline = setTimeout(() => member.child.kill('SIGKILL'), quietMs + drainMsMax);
    await member.channel.ask('stop', { quietMs }).catch(() => {});
    if (member.child.connected) member.child.disconnect();
    await member.ended;
    clearTimeout(deadline);
  }

  const cluster = names.map(launch);
  try {
    await Promise.all(cluster.map(open));
    await assertPortFree(options);
    const [head, ...others] = cluster as [Member, ...Member[]];
    // The first takes the port, which may be any free one; the others share it.
    const { address, port } = await listen(head, options.port);
    await Promise.all(others.map((member) => listen(member, port)));
    const supervised = cluster.map((member) => supervise(member, port));
    return {
      address,
      async askAll<T>(topic: string, take: (name: string, answer: T) => void) {
        const late = delay(askMsMax, undefined, { ref: false });
        const asked = [...members.values()].map(async ({ name, channel, child }) => {
          const answer = await channel.ask<T>(topic);
          // One that came late may be of a member that has ended since.
          if (members.get(name)?.child === child) take(name, answer);
        });
        await Promise.race([Promise.allSettled(asked), late]);
      },
      async stop({ quietMs }) {
        stopping.abort();
        await Promise.all([...members.values()].map((member) => end(member, quietMs)));
        await Promise.all(supervised);
      },
    };
  } catch (error) {
    stopping.abort();
    for (const { child } of members.values()) child.kill('SIGKILL');
    await Promise.all([...members.values()].map((member) => member.ended));
    throw error;
  }
}

/** A StartError stays one on its way from the member. */
function told(error: Error & { code?: string }): Error {
  if (error.code === 'ENOTSUP') {
    return new StartError(
      'this system does not let processes share a port: set FLASHDROP_API_PROCESSES=1',
      { cause: error },
    );
  }
  return error.name === 'StartError' ? new StartError(error.message, { cause: error }) : error;
}

async function howItEnds(child: ChildProcess): Promise<string> {
  const failed = once(child, 'error').then(([error]) => (error as Error).message);
  const exited = once(child, 'exit').then(([code, signal]) => signal ?? `exit code ${code}`);
  return await Promise.race([exited, failed]);
}
