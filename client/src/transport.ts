import {
  FlashdropError,
  isTemporary,
  isUntouched,
  noAnswer,
  type Problem,
  parsed,
  problemOf,
} from './problem.ts';
import { jitter, monotonic, openLimit, pause, reasonOf, untilAborted } from './time.ts';

export type CallOptions = {
  /** Aborts the call, which then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** How long the call may take with all its retries, ms. */
  deadlineMs?: number | undefined;
};

/**
 * Gives the buyer's token. Called before each request, so it should keep the token; `expired` says that
 * the engine has refused the last one as expired, and a new one is needed.
 */
export type TokenProvider = (wanted: {
  expired: boolean;
}) => string | undefined | Promise<string | undefined>;

export type Request = {
  method?: 'GET' | 'POST';
  path: string;
  body?: string | undefined;
  headers?: Record<string, string>;
  /** Not read from a cache: an old card would tell an old time. Other answers are never cached. */
  isUncached?: boolean;
  /** Not sent again unless the engine says that it did nothing. */
  isOnce?: boolean;
};

/** `sentAt` and `receivedAt` are monotonic, ms. */
export type Answer<T> = { value: T; isReplay: boolean; sentAt: number; receivedAt: number };

export type Transport = ReturnType<typeof openTransport>;

/** An attempt that takes longer is given up and made again. */
const attemptMs = 10_000;

export function openTransport(options: {
  address: string;
  fetch: typeof fetch;
  token: TokenProvider | undefined;
  deadlineMs: number;
}) {
  const address = options.address.replace(/\/+$/, '');

  async function send(request: Request, signal: AbortSignal, expired: boolean): Promise<Response> {
    const token = await untilAborted(options.token?.({ expired }), signal);
    const { method = 'GET', path, body, isUncached } = request;
    const headers = { ...request.headers };
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const init: RequestInit = { method, headers, body: body ?? null, signal };
    // A redirect would take the buyer's token and address elsewhere, or turn a Buy into a GET.
    init.redirect = 'error';
    // Nowhere else: React Native adds a parameter to the address for it, which lists refuse.
    if (isUncached) init.cache = 'no-store';
    return await answered(() => options.fetch(address + path, init));
  }

  /** Sends a request, and again with a new token where the engine calls the first one expired. */
  async function open(request: Request, signal: AbortSignal): Promise<Response> {
    const first = await send(request, signal, false);
    if (first.status !== 401 || !options.token) return first;
    const text = await answered(() => first.clone().text());
    const { reason } = parsed<{ reason?: string }>(text) ?? {};
    return reason === 'expired' ? await send(request, signal, true) : first;
  }

  /** @throws FlashdropError for whatever is not a success with JSON */
  async function attempt<T>(
    request: Request,
    withinMs: number,
    signal?: AbortSignal,
  ): Promise<Answer<T>> {
    const limit = openLimit(signal, Math.min(attemptMs, withinMs));
    try {
      const sentAt = monotonic();
      const response = await open(request, limit.signal);
      const text = await answered(() => response.text());
      const receivedAt = monotonic();
      const value = response.ok ? parsed<T & object>(text) : undefined;
      if (value === undefined) throw new FlashdropError(problemOf(response, text));
      const isReplay = response.headers.get('idempotency-replayed') === 'true';
      return { value, isReplay, sentAt, receivedAt };
    } catch (error) {
      throw signal?.aborted ? reasonOf(signal) : error;
    } finally {
      limit.end();
    }
  }

  return {
    address,
    open,
    attempt,
    /** The buyer's token. @throws FlashdropError no_answer when it takes longer */
    async token(withinMs: number, signal: AbortSignal | undefined): Promise<string | undefined> {
      const limit = openLimit(signal, withinMs);
      try {
        return await untilAborted(options.token?.({ expired: false }), limit.signal);
      } finally {
        limit.end();
      }
    },
    /**
     * Sends a request until it is answered for good, the deadline is over or the signal is aborted.
     * `instead` is asked before a request is sent again, and at last: what it gives is the answer.
     * @throws FlashdropError
     */
    async call<T>(
      request: Request,
      { signal, deadlineMs = options.deadlineMs }: CallOptions = {},
      instead?: (problem: Problem, leftMs: number) => Promise<Answer<T> | undefined>,
    ): Promise<Answer<T>> {
      const endsAt = monotonic() + deadlineMs;
      const leftMs = () => Math.max(1, endsAt - monotonic());
      for (let failures = 0; ; failures += 1) {
        const refused = await attempt<T>(request, leftMs(), signal).catch(temporaryOf(request));
        if (!(refused instanceof FlashdropError)) return refused;
        const { problem } = refused;
        const waitMs = problem.retryAfterMs ?? jitter(failures);
        const isLast = monotonic() + waitMs >= endsAt;
        if (!isLast) await pause(waitMs, signal);
        const found = await instead?.(problem, leftMs());
        if (found) return found;
        if (isLast) throw refused;
      }
    },
  };
}

/** Gives the refusals after which the request may be sent again, and throws every other error. */
function temporaryOf({ isOnce }: Request): (error: unknown) => FlashdropError {
  return (error) => {
    const isAgain = isOnce ? isUntouched : isTemporary;
    if (error instanceof FlashdropError && isAgain(error.problem)) return error;
    throw error;
  };
}

/** @throws FlashdropError no_answer when the network fails */
async function answered<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw new FlashdropError(noAnswer, { cause });
  }
}
