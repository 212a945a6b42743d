import type { Clock } from '../../domain/clock.ts';
import { authorization, type Signer } from './signing.ts';

export type ApiRequest = { method: 'GET' | 'POST'; path: string; body?: object };

/** An answer as it came, not yet trusted. */
export type Reply = { status: number; header(name: string): string | null; body: Buffer };

export type Exchange = {
  /** Signs a request, sends it and reads the answer; throws when none arrived in time. */
  send(request: ApiRequest, limits?: { timeoutMs?: number }): Promise<Reply>;
  /** The same for an answer that is too long to hold: its bytes as they come. */
  stream(request: ApiRequest): AsyncIterable<Uint8Array>;
};

const answerBytesMax = 1024 * 1024;
const streamMsMax = 300_000;
const atOnceMax = 16;

/** Requests over HTTP, signed with the merchant's key, a bounded number at once. */
export function openExchange(options: {
  url: string;
  signer: Signer;
  /** Told to WeChat Pay, so that it signs its answers with this key. */
  publicKeyId?: string | undefined;
  timeoutMs: number;
  clock: Clock;
}): Exchange {
  const base = options.url.replace(/\/+$/, '');
  const slots = openSlots(atOnceMax);

  async function ask({ method, path, body }: ApiRequest, timeoutMs: number): Promise<Response> {
    const target = new URL(base + path);
    const text = body === undefined ? '' : JSON.stringify(body);
    const signed = await authorization(options.signer, {
      method,
      path: target.pathname + target.search,
      body: text,
      at: options.clock.now(),
    });
    return await fetch(target, {
      method,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body: text }),
      headers: {
        authorization: signed,
        accept: 'application/json',
        'accept-encoding': 'identity',
        'user-agent': 'flashdrop',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(options.publicKeyId ? { 'wechatpay-serial': options.publicKeyId } : {}),
      },
    });
  }

  return {
    send: (request, { timeoutMs = options.timeoutMs } = {}) =>
      slots(async () => {
        const response = await ask(request, timeoutMs);
        const body = await boundedBody(response);
        return { status: response.status, header: (name) => response.headers.get(name), body };
      }),

    async *stream(request) {
      const response = await ask(request, streamMsMax);
      if (response.status !== 200 || !response.body) {
        await response.body?.cancel();
        throw new Error(`WeChat Pay answered ${response.status} to ${request.path}`);
      }
      yield* response.body;
    },
  };
}

async function boundedBody(response: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the rest.
    if (bytes > answerBytesMax) throw new Error(`an answer of more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Runs at most so many pieces of work at once; the others wait their turn. */
function openSlots(most: number) {
  const waiting: (() => void)[] = [];
  let free = most;
  return async function inSlot<T>(work: () => Promise<T>): Promise<T> {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}
