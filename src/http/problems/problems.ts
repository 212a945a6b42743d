import type { FastifyReply } from 'fastify';
import { type ProblemEntry, problems } from './catalogue.ts';

export { problems };

export type ProblemCode = keyof typeof problems;
export const problemCodes = Object.keys(problems).filter(isProblemCode);

export function isProblemCode(text: string): text is ProblemCode {
  return Object.hasOwn(problems, text);
}

export type FieldError = { field: string; reason: string };

/** Members of an answer beyond its catalogue entry. */
export type ProblemMembers = {
  errors?: FieldError[];
  order?: string;
  available?: number;
  allotment?: number;
  state?: string;
  startsAt?: string;
  from?: string;
  until?: string;
  requestId?: string;
  retryAfterMs?: number;
  triesLeft?: number;
  refundable?: number;
  lines?: number;
  imported?: number;
  already?: number;
  bad?: number;
  badLines?: { line: number; reason: string }[];
};

/** Thrown to end a request with a refusal; the hot path uses sendProblem instead. */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly members: ProblemMembers;
  constructor(code: ProblemCode, members: ProblemMembers = {}) {
    super(problems[code].title);
    this.name = 'Problem';
    this.code = code;
    this.members = members;
  }
}

/** A Problem that names one wrong field. */
export function invalid(field: string, reason: string): Problem {
  return new Problem('invalid_request', { errors: [{ field, reason }] });
}

export const problemType = 'application/problem+json';
export const retryMsDefault = 1_000;

/** The constant part of each problem document, without its closing brace. */
const heads = new Map(
  problemCodes.map((code) => {
    const { status, title, detail } = problems[code];
    const type = `/docs/errors#${code}`;
    return [code, JSON.stringify({ type, title, status, code, detail }).slice(0, -1)];
  }),
);

/** The text of a problem document (RFC 9457). */
export function problemText(code: ProblemCode, members?: ProblemMembers): string {
  const head = heads.get(code);
  const more = members ? JSON.stringify(members) : '{}';
  return more === '{}' ? `${head}}` : `${head},${more.slice(1)}`;
}

/** Waits that end at a known instant, which `startsAt` or `until` gives: not spread. */
const atAnInstant: ProblemCode[] = ['drop_not_open', 'payment_password_locked'];

/**
 * Retry-After in whole seconds: `waitMs` plus a random part of up to half of it and a second, so that
 * clients refused together do not come back together.
 */
export function retryAfterSeconds(code: ProblemCode, waitMs = retryMsDefault): number {
  const spreadMs = atAnInstant.includes(code) ? 0 : Math.random() * (waitMs / 2 + 1_000);
  return Math.max(1, Math.ceil((waitMs + spreadMs) / 1_000));
}

/** Answers with a problem document, with Retry-After where the catalogue says `retry`. */
export function sendProblem(
  reply: FastifyReply,
  code: ProblemCode,
  members?: ProblemMembers,
): FastifyReply {
  const entry: ProblemEntry = problems[code];
  reply.code(entry.status).header('content-type', `${problemType}; charset=utf-8`);
  if (entry.status === 401) reply.header('www-authenticate', 'Bearer realm="flashdrop"');
  if (!entry.retry) return reply.send(problemText(code, members));
  const retryAfter = retryAfterSeconds(code, members?.retryAfterMs);
  reply.header('retry-after', retryAfter);
  return reply.send(problemText(code, { ...members, retryAfterMs: retryAfter * 1_000 }));
}
