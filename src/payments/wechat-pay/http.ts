import type { Clock } from '../../domain/clock.ts';
import { openConcurrencyLimit } from '../concurrency.ts';
import { authorization, type Signer } from './signing.ts';

export type ApiRequest = { method: 'GET' | 'POST'; path: string; body?: object };

/** An answer that is not verified yet. */
export type Reply = { status: number; header(name: string): string | null; body: Buffer };

export type Http = {
  /**
   * Signs and sends a request, and reads the answer.
   * @throws Error when no whole answer arrives in time
   */
  send(request: ApiRequest, limits?: { timeoutMs?: number }): Promise<Reply>;
  /** The same for a long answer, whose bytes are given while they arrive. */
  stream(request: ApiRequest): AsyncIterable<Uint8Array>;
};

const answerBytesMax = 1024 * 1024;
const streamMsMax = 300_000;
const requestsMax = 16;

/** HTTP requests signed with the merchant's key, a limited number at a time. */
export function openHttp(options: {
  url: string;
  signer: Signer;
  /** Sent with each request, so that WeChat Pay signs its answers with this key. */
  publicKeyId?: string | undefined;
  timeoutMs: number;
  clock: Clock;
}): Http {
  const base = options.url.replace(/\/+$/, '');
  const limit = openConcurrencyLimit(requestsMax);

  async function request({ method, path, body }: ApiRequest, timeoutMs: number): Promise<Response> {
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
    send: (wanted, { timeoutMs = options.timeoutMs } = {}) =>
      limit(async () => {
        const response = await request(wanted, timeoutMs);
        const body = await boundedBody(response);
        return { status: response.status, header: (name) => response.headers.get(name), body };
      }),

    async *stream(wanted) {
      const response = await request(wanted, streamMsMax);
      if (response.status !== 200 || !response.body) {
        await response.body?.cancel();
        throw new Error(`WeChat Pay answered ${response.status} to ${wanted.path}`);
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
    // Leaving the loop cancels the download.
    if (bytes > answerBytesMax) throw new Error(`an answer of more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
