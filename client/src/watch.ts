import { eventsOf } from './events.ts';
import { FlashdropError, isTemporary, parsed, problemOf } from './problem.ts';
import { jitter, monotonic, openLimit, pause, reasonOf } from './time.ts';
import type { Transport } from './transport.ts';

/** Something that changes: how it is read once and followed live. */
export type Source<T> = {
  path: string;
  read(): Promise<T>;
  /** Called with each state that a stream sends. */
  onSent?(value: T): void;
  /** True when it will not change any more. */
  isOver(value: T): boolean;
};

/** The engine sends the state at once, and something every ten seconds. */
const firstMs = 5_000;
const silenceMs = 25_000;

/**
 * Yields the state now and after each change, and ends when it will not change any more. Follows the
 * engine's stream and opens it again when it is cut; polls while there is no stream: behind a proxy
 * that holds streams back, with too many open, in React Native.
 * @throws FlashdropError when asking again will not help; the signal's reason when aborted
 */
export async function* watch<T extends object>(
  transport: Pick<Transport, 'open'>,
  source: Source<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void> {
  const stream = openStream<T>(transport, source, signal);
  const ways = {
    stream: { states: stream.states, waitMs: stream.retryMs, failures: 0 },
    poll: { states: () => once(source.read), waitMs: pollMs, failures: 0 },
  };
  let streamAt = canStream() ? 0 : Number.POSITIVE_INFINITY;
  let seen = '';

  for (;;) {
    const isStream = monotonic() >= streamAt;
    const way = isStream ? ways.stream : ways.poll;
    try {
      for await (const value of way.states()) {
        way.failures = 0;
        const text = JSON.stringify({ ...value, serverTime: undefined });
        if (text !== seen) yield value;
        seen = text;
        if (source.isOver(value)) return;
      }
      await pause(way.waitMs(), signal);
    } catch (error) {
      const { retryAfterMs } = passing(error, isStream);
      const waitMs = retryAfterMs ?? jitter(way.failures, { firstMs: 1_000, mostMs: 30_000 });
      way.failures += 1;
      // The state is polled meanwhile, at once.
      if (isStream) streamAt = monotonic() + waitMs;
      else await pause(waitMs, signal);
    }
  }
}

const pollMs = () => 1_000 + Math.random() * 2_000;

async function* once<T>(read: () => Promise<T>): AsyncGenerator<T, void> {
  yield await read();
}

/** The problem of an error after which it makes sense to go on; any other error is thrown. */
function passing(error: unknown, isStream: boolean) {
  if (!(error instanceof FlashdropError)) throw error;
  const { problem } = error;
  // A proxy that answers for a stream may still let a poll through.
  const isForeign = isStream && problem.code === 'unexpected_answer';
  // A frozen drop is watched until it is rebuilt.
  if (!isForeign && !isTemporary(problem) && problem.status < 500) throw error;
  return problem;
}

/** React Native has no bodies that are read as they come: its fetch would wait for the end of the stream. */
function canStream(): boolean {
  return typeof Response !== 'undefined' && 'body' in Response.prototype;
}

function openStream<T extends object>(
  transport: Pick<Transport, 'open'>,
  source: Source<T>,
  signal: AbortSignal | undefined,
) {
  let lastId = '';
  let retryMs = 1_000;

  async function connect(within: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (lastId) headers['last-event-id'] = lastId;
    const response = await transport.open({ path: `${source.path}/stream`, headers }, within);
    const type = response.headers.get('content-type') ?? '';
    if (response.ok && response.body && type.startsWith('text/event-stream')) return response.body;
    throw new FlashdropError(problemOf(response, response.ok ? '' : await response.text()));
  }

  async function* statesOf(limit: ReturnType<typeof openLimit>): AsyncGenerator<T, void> {
    const body = await connect(limit.signal);
    let isEmpty = true;
    for await (const event of eventsOf(body, () => limit.within(silenceMs))) {
      if ('retryMs' in event) retryMs = event.retryMs;
      else {
        const value = parsed<T>(event.data);
        if (!value) continue;
        isEmpty = false;
        lastId = event.id;
        source.onSent?.(value);
        yield value;
      }
    }
    if (isEmpty) throw new FlashdropError(cut);
  }

  return {
    /** How long the engine wants a cut stream to wait, ms: it spreads its clients. */
    retryMs: () => retryMs,
    /** @throws FlashdropError when not even one state came */
    async *states(): AsyncGenerator<T, void> {
      const limit = openLimit(signal, firstMs);
      try {
        yield* statesOf(limit);
      } catch (error) {
        throw signal?.aborted ? reasonOf(signal) : error;
      } finally {
        limit.end();
      }
    },
  };
}

const cut = {
  code: 'no_answer',
  status: 0,
  title: 'The stream was cut',
  detail: 'It is opened again.',
} as const;
