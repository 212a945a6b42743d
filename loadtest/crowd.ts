import { setTimeout as wait } from 'node:timers/promises';
import { Pool } from 'undici';

/** One answer as its client saw it; `status` 0 when none came. */
export type Attempt = { status: number; code: string; replayed: boolean; body: string };

/** What each buyer sent and was told, by buyer, in order: all that the judge may go by. */
export type Book = Map<string, Attempt[]>;

export type CrowdOptions = {
  /** Where the engine is now; it may go away and come back. */
  address: string;
  drop: string;
  sku: string;
  buyers: { buyer: string; token: string }[];
  /** The part of the buyers who send their Buy again under the same key: 0 to 1. */
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

  async function press(token: string, key: string): Promise<Attempt> {
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
      const answers = await Promise.all(Array.from({ length: taps }, () => press(token, key)));
      attempts.push(...answers);
      if (answers.some(({ status }) => status === 202)) break;
      if (!answers.some(isUnsettled)) break;
      await wait(retryMs * (0.5 + random()));
    }
    if (doubleTap && !together) attempts.push(await press(token, key));
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

/** No answer, or one that says to come again: 503 and 429. A refusal with a reason is final. */
function isUnsettled({ status }: Attempt): boolean {
  return status === 0 || status === 503 || status === 429;
}
