import { setTimeout as wait } from 'node:timers/promises';
import { Pool } from 'undici';
import type { BookLine } from './auditor/book.ts';

/** One answer to a Buy as its client saw it; `status` 0 when none came. */
export type Attempt = {
  key: string;
  /** Sent when the key had already been acknowledged. */
  again: boolean;
  status: number;
  code: string;
  replayed: boolean;
  body: string;
};

/** The answers of each buyer, in order: the auditor's only source about clients. */
export type Book = Map<string, Attempt[]>;

export type CrowdOptions = {
  /** The engine's current address; it may be down and come back. */
  address: string;
  drop: string;
  sku: string;
  buyers: { buyer: string; token: string }[];
  /** The share of buyers who repeat their Buy with the same key, 0 to 1. */
  repeatRate: number;
  /** Buyers pressing at once. */
  pressing: number;
  random(): number;
  book: Book;
  onAccepted?(accepted: number): void;
};

const triesMax = 60;
const retryMs = 250;
const timeoutMs = 10_000;

/**
 * Every buyer presses Buy once. One who gets no answer, or is told that the engine could not take
 * the Buy on, presses again with the same key, as a client should; some press twice for no reason.
 */
export async function runCrowd(options: CrowdOptions): Promise<void> {
  const { buyers, pressing, repeatRate, random, book } = options;
  const pool = new Pool(options.address, {
    connections: pressing,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  let next = 0;
  let accepted = 0;

  async function press(token: string, { key, again }: { key: string; again: boolean }) {
    return { key, again, ...(await ask(token, key)) };
  }

  async function ask(token: string, key: string): Promise<Omit<Attempt, 'key' | 'again'>> {
    try {
      const { statusCode, headers, body } = await pool.request({
        method: 'POST',
        path: `/v1/drops/${options.drop}/orders`,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'idempotency-key': key,
        },
        body: JSON.stringify({ sku: options.sku, quantity: 1, payment: { method: 'wallet' } }),
      });
      const text = await body.text();
      const code = statusCode === 202 ? '' : String((JSON.parse(text) as { code: string }).code);
      const replayed = headers['idempotency-replayed'] === 'true';
      return { status: statusCode, code, replayed, body: text };
    } catch (error) {
      return { status: 0, code: (error as Error).message, replayed: false, body: '' };
    }
  }

  async function buy({ buyer, token }: { buyer: string; token: string }): Promise<void> {
    const attempts: Attempt[] = [];
    book.set(buyer, attempts);
    const key = `key-of-${buyer}`;
    const doubleTap = random() < repeatRate;
    const together = random() < 0.5;
    for (let tries = 0; tries < triesMax; tries += 1) {
      const taps = doubleTap && together && tries === 0 ? 2 : 1;
      const answers = await Promise.all(
        Array.from({ length: taps }, () => press(token, { key, again: false })),
      );
      attempts.push(...answers);
      if (answers.some(({ status }) => status === 202)) break;
      if (!answers.some(isUnsettled)) break;
      await wait(retryMs * (0.5 + random()));
    }
    const again = attempts.some(({ status }) => status === 202);
    if (doubleTap && !together) attempts.push(await press(token, { key, again }));
    if (attempts.some(({ status }) => status === 202)) {
      accepted += 1;
      options.onAccepted?.(accepted);
    }
  }

  await Promise.all(
    Array.from({ length: pressing }, async () => {
      for (let one = buyers[next++]; one; one = buyers[next++]) await buy(one);
    }),
  );
  await pool.close();
}

/** Writes the book that the auditor reads. */
export function* linesOf(book: Book): Generator<BookLine> {
  for (const [buyer, attempts] of book) {
    for (const { key, again, status, code, replayed, body } of attempts) {
      const base = { at: 0, buyer, key };
      if (status === 202) yield { ...base, kind: 'ack', replayed, body };
      else if (status === 0 || code === 'outcome_unknown') yield { ...base, kind: 'unknown' };
      else if (again && refusesTheKey(status, code)) {
        yield { ...base, kind: 'refused_after_ack', code };
      }
    }
  }
}

/** Whether an answer is final for its key; overload is not, nor is another body under the key. */
function refusesTheKey(status: number, code: string): boolean {
  return status !== 503 && status !== 429 && code !== 'idempotency_key_reused';
}

/** No answer, or one that says to come again: 503 and 429. A refusal with a reason is final. */
function isUnsettled({ status }: Attempt): boolean {
  return status === 0 || status === 503 || status === 429;
}
