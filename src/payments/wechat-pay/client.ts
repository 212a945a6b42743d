import type { Clock } from '../../domain/clock.ts';
import { type Fields, parseFields, textOf } from '../json.ts';
import type { Certificates } from './certificates.ts';
import type { ApiRequest, Http } from './http.ts';
import { isFresh, signedOf } from './signing.ts';

export type { ApiRequest };

/** WeChat Pay's signed answer to a call, or none that can be relied on. */
export type Answer =
  | { kind: 'done'; fields: Fields }
  /** Refused. `code` is without underscores, because WeChat Pay's documents write codes both ways. */
  | { kind: 'refused'; status: number; code: string; message: string }
  /** No answer, one without a valid signature, or an error or rate limit of WeChat Pay. */
  | { kind: 'unknown'; why: string };

export type Client = { call(request: ApiRequest): Promise<Answer> };

/** Refusal codes that are not about the request: the same request may succeed later. */
const temporaryCodes = new Set([
  'SYSTEMERROR',
  'BANKERROR',
  'FREQUENCYLIMITED',
  'FREQUENCYLIMITEXCEED',
  'RATELIMITED',
  'RATELIMITEXCEEDED',
  'RULELIMIT',
]);

/** Calls of API v3 with verified answers. A call never throws: failures are `unknown`, and logged. */
export function openClient(options: {
  http: Http;
  certificates: Certificates;
  clock: Clock;
  warn(message: string): void;
}): Client {
  const { http, certificates, clock, warn } = options;

  async function call(request: ApiRequest): Promise<Answer> {
    const answer = await attempt(request);
    if (answer.kind === 'unknown') {
      warn(`WeChat Pay, ${request.method} ${request.path.split('?')[0]}: ${answer.why}`);
    }
    return answer;
  }

  async function attempt(request: ApiRequest): Promise<Answer> {
    const reply = await http.send(request).catch((error: unknown) => {
      return error instanceof Error ? error : new Error(String(error));
    });
    if (reply instanceof Error) return { kind: 'unknown', why: `no answer (${reply.message})` };
    const { status, body } = reply;
    const signed = signedOf(reply.header, body);
    if (!signed) return { kind: 'unknown', why: `an answer without a signature (${status})` };
    if (!isFresh(signed, clock.now()) || !(await certificates.trusts(signed))) {
      return { kind: 'unknown', why: `an answer with a wrong signature (${status})` };
    }
    const fields = body.length === 0 ? {} : parseFields(body.toString());
    if (!fields) return { kind: 'unknown', why: `an answer that is no JSON object (${status})` };
    if (status === 200 || status === 204) return { kind: 'done', fields };
    const code = (textOf(fields, 'code') ?? '').toUpperCase().replaceAll('_', '');
    const message = (textOf(fields, 'message') ?? '').slice(0, 256);
    if (
      status < 400 ||
      status >= 500 ||
      status === 429 ||
      code === '' ||
      temporaryCodes.has(code)
    ) {
      return { kind: 'unknown', why: `${status} ${code} ${message}` };
    }
    return { kind: 'refused', status, code, message };
  }

  return { call };
}
