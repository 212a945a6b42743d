import { vi } from 'vitest';
import type { KeyStorage } from '../../client/src/index.ts';

export type Sent = {
  method: string;
  path: string;
  body: unknown;
  headers: Headers;
  signal: AbortSignal;
  cache: RequestInit['cache'];
  redirect: RequestInit['redirect'];
};
type Reply = Response | Error | 'never';
type Replier = Reply | ((sent: Sent) => Reply);

/** A `fetch` that gives one reply after the other, the last one for ever, and keeps what was sent. */
export function stubFetch(...replies: Replier[]) {
  const sent: Sent[] = [];
  const fetch = async (
    input: string | URL | Request,
    init: RequestInit = {},
  ): Promise<Response> => {
    const signal = init.signal ?? new AbortController().signal;
    const one = {
      method: init.method ?? 'GET',
      path: String(input).replace('http://engine.test', ''),
      body: init.body ?? undefined,
      headers: new Headers(init.headers),
      signal,
      cache: init.cache,
      redirect: init.redirect,
    };
    sent.push(one);
    const next = replies.length > 1 ? replies.shift() : replies[0];
    const reply = typeof next === 'function' ? next(one) : next;
    if (reply instanceof Response) return reply === next ? reply.clone() : reply;
    if (reply instanceof Error) throw reply;
    signal.throwIfAborted();
    return await new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  };
  return { fetch, sent, keys: () => sent.map(({ headers }) => headers.get('idempotency-key')) };
}

export const lost = new TypeError('fetch failed');

export function json(value: unknown, init?: ResponseInit): Response {
  return new Response(JSON.stringify(value), init);
}

export function refusal(code: string, status: number, members: object = {}): Response {
  const document = { type: `/docs/errors#${code}`, title: `It is ${code}`, detail: 'See.', code };
  return json({ ...document, status, ...members }, { status });
}

export const accepted = {
  id: 'order_1',
  state: 'reserved',
  sku: 'phone',
  quantity: 1,
  amount: 199_900,
  currency: 'CNY',
  expiresAt: '2026-11-27T12:05:00.000Z',
};
export const bought = () => json(accepted, { status: 202 });
export const replayed = () =>
  json(accepted, { status: 202, headers: { 'idempotency-replayed': 'true' } });
export const anOrder = (state: string) => ({ ...accepted, drop: 'drop_1', state });

/** What a page keeps over a reload. */
export function memory() {
  const items = new Map<string, string>();
  const storage: KeyStorage = {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
  };
  return { storage, items };
}

const immediate = setImmediate;

/** Lets the fake clock run, from timer to timer, until a promise is settled. */
export async function run<T>(promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  while (!isSettled) {
    // What does not wait for a timer goes first.
    for (let turn = 0; turn < 5 && !isSettled; turn += 1) {
      await new Promise<void>((done) => void immediate(done));
    }
    if (!isSettled) await vi.advanceTimersToNextTimerAsync();
  }
  return await promise;
}
