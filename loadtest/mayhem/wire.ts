import { setTimeout as wait } from 'node:timers/promises';
import { Agent, request } from 'undici';

export type Answer = {
  /** 0 when there was none. */
  status: number;
  code: string;
  text: string;
  json: Record<string, unknown>;
};

export type Call = (
  method: 'GET' | 'POST',
  path: string,
  options?: { token?: string; key?: string; body?: unknown },
) => Promise<Answer>;

const answerMsMax = 40_000;

/** Calls one server; a missing answer is returned with status 0. */
export function openWire(address: string): Call {
  const dispatcher = new Agent({ connections: 256, pipelining: 1 });

  return async (method, path, { token, key, body } = {}) => {
    try {
      const answer = await request(`${address}${path}`, {
        method,
        dispatcher,
        headersTimeout: answerMsMax,
        bodyTimeout: answerMsMax,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.body.text();
      const json = text.startsWith('{') ? JSON.parse(text) : {};
      return { status: answer.statusCode, code: json.code ?? '', text, json };
    } catch (error) {
      return { status: 0, code: (error as Error).message, text: '', json: {} };
    }
  };
}

/** Repeats a request, with pauses, until the answer is conclusive. */
export async function untilTold(
  ask: () => Promise<Answer>,
  options: { until?: number; pauseMs?: number; isVague?: (answer: Answer) => boolean } = {},
): Promise<Answer> {
  const { until = Number.POSITIVE_INFINITY, pauseMs = 300 } = options;
  const { isVague = ({ status }: Answer) => status === 0 || status === 429 || status >= 500 } =
    options;
  for (;;) {
    const answer = await ask();
    if (!isVague(answer) || Date.now() > until) return answer;
    await wait(pauseMs);
  }
}
