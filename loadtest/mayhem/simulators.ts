import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NotificationFigures } from '../../simulators/notifier.ts';
import type { BookedCharge, Faults, ProviderName } from '../../simulators/protocol.ts';

export const simulated = ['stripe', 'alipay', 'wechat_pay'] as const satisfies ProviderName[];

export type ProviderBook = { charges: BookedCharge[] } & NotificationFigures;

/** A simulated provider in a process of its own. */
export type Simulated = {
  provider: ProviderName;
  url: string;
  /** Environment variables with which an engine talks to it. */
  settings: Record<string, string>;
  book(): Promise<ProviderBook>;
  faults(change: Partial<Faults> & { seed?: number }): Promise<void>;
  stop(): Promise<void>;
};

const main = fileURLToPath(new URL('../../simulators/main.ts', import.meta.url));

/** @param options.publicUrl where it reaches the engine */
export async function startSimulated(
  provider: ProviderName,
  { seed, publicUrl }: { seed: number; publicUrl: string },
): Promise<Simulated> {
  const args = [provider, '--seed', String(seed), '--public-url', publicUrl];
  const child = fork(main, args, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const { url, settings } = await told(child, provider);

  async function control<T>(method: string, path: string, body?: object): Promise<T> {
    const response = await fetch(`${url}/_control/${path}`, {
      method,
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`the simulated ${provider} says ${response.status}: ${text}`);
    return JSON.parse(text) as T;
  }

  return {
    provider,
    url,
    settings,
    book: () => control('GET', 'book'),
    async faults(change) {
      await control('PUT', 'faults', change);
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function told(
  child: ChildProcess,
  provider: string,
): Promise<{ url: string; settings: Record<string, string> }> {
  const ended = once(child, 'exit').then(() => {
    throw new Error(`the simulated ${provider} ended: see its message above`);
  });
  const [message] = await Promise.race([once(child, 'message'), ended]);
  ended.catch(() => {});
  return message;
}
