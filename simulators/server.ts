import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { openBook } from './book.ts';
import { addControl } from './control.ts';
import { addFailingCalls } from './failing-calls.ts';
import { openFaultPlan } from './faults.ts';
import { openMemory } from './memory.ts';
import { openNotifier } from './notifier.ts';
import type { BookEvent, Protocol, SimulatedBook, Simulator } from './protocol.ts';

export type ServedSimulator = {
  url: string;
  /** Settings (environment variables) with which an engine talks to it. */
  settings: Record<string, string>;
  book: SimulatedBook;
  /** Stops at once; hanging calls are cut. */
  stop(): Promise<void>;
};

const bodyBytesMax = 1024 * 1024;
/** How often expired charges are closed, in ms. */
const expiryMs = 250;

/**
 * Serves one simulated provider on loopback.
 * @param options.publicUrl where the engine is reached: its FLASHDROP_PUBLIC_URL
 * @param options.file keeps the books for the next start; without it they end with the process
 */
export async function serveSimulator(
  protocol: Protocol,
  {
    port = 0,
    seed,
    publicUrl,
    file,
  }: { port?: number; seed: number; publicUrl: string; file?: string | undefined },
): Promise<ServedSimulator> {
  const app = fastify({ bodyLimit: bodyBytesMax, forceCloseConnections: true });
  takeRawBodies(app);
  const faults = openFaultPlan(seed);
  const id = openIds(`${protocol.provider} ${seed}`);
  const happened = openEventLog();
  let offsetMs = 0;
  let url = '';

  const memory = openMemory(file);
  const book = openBook({
    charges: memory.map('charges'),
    now: () => simulator.now(),
    newId: (of) =>
      (of === 'event' ? undefined : protocol.newId?.(of, simulator)) ?? id(prefixes[of], 24),
    capturesAfterEnd: (reference) => faults.happens('captureAfterClose', reference),
    onEvent(event) {
      memory.touch();
      happened.add(event);
      notifier.notify(event);
    },
  });
  const simulator: Simulator = {
    book,
    url: () => url,
    notifyUrl: `${publicUrl.replace(/\/+$/, '')}/v1/payments/${protocol.provider}/notifications`,
    now: () => Date.now() + offsetMs,
    id,
    remembered: memory.map,
  };
  const notifier = openNotifier({ protocol, simulator, faults });

  // A call may change what no event tells: it opens a charge, or gives a session its page.
  app.addHook('onResponse', async () => memory.touch());
  await app.register(async (api) => {
    addFailingCalls(api, { protocol, book, faults });
    protocol.routes(api, simulator);
  });
  addControl(app, {
    simulator,
    faults,
    notifier,
    lastEvent: happened.last,
    shiftClock(ms) {
      offsetMs = ms;
      book.expire();
    },
  });
  await app.listen({ host: '127.0.0.1', port });
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const expiring = setInterval(book.expire, expiryMs);

  return {
    url,
    settings: protocol.settings(url),
    book,
    async stop() {
      clearInterval(expiring);
      await notifier.stop();
      await app.close();
      memory.close();
    },
  };
}

const prefixes = { charge: 'ch_', refund: 're_', event: 'evt_' } as const;

/** Signatures cover the raw bytes, so bodies reach the protocol unparsed. */
function takeRawBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('preValidation', async (request) => {
    request.body ??= Buffer.alloc(0);
  });
}

const lettersAndDigits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Ids from a seed: the nth id with a prefix is always the same. */
function openIds(seed: string): Simulator['id'] {
  const counts = new Map<string, number>();
  return (prefix, length, alphabet = lettersAndDigits) => {
    const nth = counts.get(prefix) ?? 0;
    counts.set(prefix, nth + 1);
    const bytes = createHash('shake256', { outputLength: length })
      .update(`${seed} ${prefix} ${nth}`)
      .digest();
    return prefix + Array.from(bytes, (byte) => alphabet[byte % alphabet.length]).join('');
  };
}

/** The last event of each kind of each charge. */
function openEventLog() {
  const byCharge = new Map<string, BookEvent[]>();
  return {
    add(event: BookEvent): void {
      const { reference } = event.charge;
      const earlier = byCharge.get(reference) ?? [];
      byCharge.set(reference, [...earlier.filter(({ kind }) => kind !== event.kind), event]);
    },
    last(reference: string, kind?: BookEvent['kind']): BookEvent | undefined {
      const events = byCharge.get(reference) ?? [];
      return events.findLast((event) => kind === undefined || event.kind === kind);
    },
  };
}
