import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { Answer, NotificationFigures } from '../../simulators/notifier.ts';
import type {
  BookEvent,
  BookedCharge,
  Faults,
  Forgery,
  ProviderName,
} from '../../simulators/protocol.ts';

export type SimulatedProvider = {
  url: string;
  /** Environment variables with which an engine talks to it; FLASHDROP_PUBLIC_URL is not among them. */
  settings: Record<string, string>;
  pid: number;
  /** The buyer acts. Rejects when the provider has no such charge. */
  pay(reference: string): Promise<'captured' | 'already' | 'refused'>;
  decline(reference: string): Promise<'closed' | 'already' | 'captured'>;
  close(reference: string): Promise<'closed' | 'already' | 'captured'>;
  /** A refund that was done fails at the provider, or one that failed is done after all. */
  changeRefund(refundReference: string, act: 'fail' | 'succeed'): Promise<void>;
  /** The provider's own book, and what became of its notifications. */
  book(): Promise<{ charges: BookedCharge[] } & NotificationFigures>;
  /** The charge as the provider has it; undefined when it has none. */
  charge(reference: string): Promise<BookedCharge | undefined>;
  /** Changes what is named; a seed begins the choices anew. */
  faults(change: Partial<Faults> & { seed?: number }): Promise<Faults>;
  /** Sends a notification now and tells the engine's answers. */
  notify(asked: {
    reference: string;
    kind?: BookEvent['kind'];
    times?: number;
    parallel?: boolean;
    forge?: Forgery;
  }): Promise<Answer[]>;
  /** Makes it notify the engine at this public URL, where requests do not name the address (Stripe). */
  reaches(publicUrl: string): Promise<void>;
  /** Sets its clock so much off ours. */
  clock(offsetMs: number): Promise<void>;
  stop(): Promise<void>;
};

const main = fileURLToPath(new URL('../../simulators/main.ts', import.meta.url));

/** Nobody listens there: notifications of providers that a test does not follow go nowhere. */
const nobody = 'http://127.0.0.1:9';

/**
 * Starts the simulator of a provider as a process of its own. Started within a test it stops with
 * the test; started in a hook it is to be stopped by one, and ends with the test's process at last.
 */
export async function startSimulator(
  provider: ProviderName,
  { seed = 1, publicUrl = nobody }: { seed?: number; publicUrl?: string } = {},
): Promise<SimulatedProvider> {
  const args = [provider, '--seed', String(seed), '--public-url', publicUrl];
  const child = fork(main, args, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  const { url, settings } = await untilServing(child, ended);
  const control = openControl(url);
  const act = <T>(reference: string, verb: string) =>
    control<{ outcome: T }>('POST', `charges/${encodeURIComponent(reference)}/${verb}`).then(
      ({ outcome }) => outcome,
    );
  const book = () => control<{ charges: BookedCharge[] } & NotificationFigures>('GET', 'book');

  async function stop(): Promise<void> {
    child.kill('SIGTERM');
    await ended;
  }
  stopWithTest(stop);
  return {
    url,
    settings,
    pid: child.pid ?? 0,
    book,
    stop,
    pay: (reference) => act(reference, 'pay'),
    decline: (reference) => act(reference, 'decline'),
    close: (reference) => act(reference, 'close'),
    async changeRefund(refundReference, act) {
      await control('POST', `refunds/${refundReference}/${act}`);
    },
    charge: async (reference) =>
      (await book()).charges.find((charge) => charge.reference === reference),
    faults: (change) => control('PUT', 'faults', change),
    notify: (asked) => control('POST', 'notifications', asked),
    async reaches(publicUrl) {
      const endpoint = `${publicUrl}/v1/payments/${provider}/notifications`;
      const response = await fetch(`${url}/v1/webhook_endpoints`, {
        method: 'POST',
        headers: { authorization: `Bearer ${settings['FLASHDROP_STRIPE_SECRET_KEY']}` },
        body: new URLSearchParams({ url: endpoint }),
      });
      if (!response.ok) throw new Error(`no endpoint: ${await response.text()}`);
    },
    async clock(offsetMs) {
      await control('PUT', 'clock', { offsetMs });
    },
  };
}

/** A caller of the routes under /_control; rejects with what the simulator says is wrong. */
export function openControl(url: string) {
  return async <T>(method: string, path: string, body?: object): Promise<T> => {
    const response = await fetch(`${url}/_control/${path}`, {
      method,
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`the simulator answers ${response.status}: ${text}`);
    return JSON.parse(text) as T;
  };
}

async function untilServing(
  child: ChildProcess,
  ended: Promise<unknown[]>,
): Promise<{ url: string; settings: Record<string, string> }> {
  const [told] = await Promise.race([
    once(child, 'message'),
    ended.then(() => Promise.reject(new Error('the simulator ended: see its message above'))),
  ]);
  return told;
}

function stopWithTest(stop: () => Promise<void>): void {
  try {
    onTestFinished(stop);
  } catch {
    // Not within a test: a hook of the file stops it.
  }
}
