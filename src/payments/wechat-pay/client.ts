import type { Clock } from '../../domain/clock.ts';
import type { Certificates } from './certificates.ts';
import type { ApiRequest, Exchange } from './exchange.ts';
import { type Fields, parsedFields, textOf } from './json.ts';
import { isFresh, signedOf } from './signing.ts';

/** What WeChat Pay says to a call; only what it signed counts. */
export type Answer =
  | { kind: 'done'; fields: Fields }
  /** It will not, and says why. `code` is without its underscores: documents write it both ways. */
  | { kind: 'refused'; status: number; code: string; message: string }
  /** Nothing that can be believed: no answer, an unsigned one, a fault or a limit of WeChat Pay. */
  | { kind: 'unknown'; why: string };

export type Client = { call(request: ApiRequest): Promise<Answer> };

/** Refusals that say nothing of the request itself: the same later may well do. */
const passing = new Set([
  'SYSTEMERROR',
  'BANKERROR',
  'FREQUENCYLIMITED',
  'FREQUENCYLIMITEXCEED',
  'RATELIMITED',
  'RATELIMITEXCEEDED',
  'RULELIMIT',
]);

/** Calls of the API v3 whose answers are verified. Never throws for what came or did not come. */
export function openClient(options: {
  exchange: Exchange;
  certificates: Certificates;
  clock: Clock;
  warn(message: string): void;
}): Client {
  const { exchange, certificates, clock, warn } = options;

  async function call(request: ApiRequest): Promise<Answer> {
    const answer = await attempt(request);
    if (answer.kind === 'unknown') {
      warn(`WeChat Pay, ${request.method} ${request.path.split('?')[0]}: ${answer.why}`);
    }
    return answer;
  }

  async function attempt(request: ApiRequest): Promise<Answer> {
    const reply = await exchange.send(request).catch((error: unknown) => {
      return error instanceof Error ? error : new Error(String(error));
    });
    if (reply instanceof Error) return { kind: 'unknown', why: `no answer (${reply.message})` };
    const { status, body } = reply;
    const signed = signedOf(reply.header, body);
    if (!signed) return { kind: 'unknown', why: `an answer without a signature (${status})` };
    if (!isFresh(signed, clock.now()) || !(await certificates.trusts(signed))) {
      return { kind: 'unknown', why: `an answer with a wrong signature (${status})` };
    }
    const fields = body.length === 0 ? {} : parsedFields(body.toString());
    if (!fields) return { kind: 'unknown', why: `an answer that is no JSON object (${status})` };
    if (status === 200 || status === 204) return { kind: 'done', fields };
    const code = (textOf(fields, 'code') ?? '').toUpperCase().replaceAll('_', '');
    const message = (textOf(fields, 'message') ?? '').slice(0, 256);
    if (status < 400 || status >= 500 || status === 429 || code === '' || passing.has(code)) {
      return { kind: 'unknown', why: `${status} ${code} ${message}` };
    }
    return { kind: 'refused', status, code, message };
  }

  return { call };
}
