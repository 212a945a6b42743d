import type { FastifyReply } from 'fastify';
import { type ProblemEntry, problems } from './catalogue.ts';

export { problems };

export type ProblemCode = keyof typeof problems;
export const problemCodes = Object.keys(problems) as ProblemCode[];

export type FieldError = { field: string; reason: string };

/** What an answer may say beyond its catalogue entry. */
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

/** Thrown where a refusal ends a request; the hot path answers with sendProblem instead. */
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

const heads = Object.fromEntries(
  Object.entries(problems).map(([code, { status, title, detail }]) => {
    const type = `/docs/errors#${code}`;
    return [code, JSON.stringify({ type, title, status, code, detail }).slice(0, -1)];
  }),
) as Record<ProblemCode, string>;

/** The text of a problem document (RFC 9457). */
export function problemText(code: ProblemCode, members?: ProblemMembers): string {
  const more = members ? JSON.stringify(members) : '{}';
  return more === '{}' ? `${heads[code]}}` : `${heads[code]},${more.slice(1)}`;
}

/** What ends at an instant: the opening is one for everybody, a lock one buyer's own. */
const atAnInstant: ProblemCode[] = ['drop_not_open', 'payment_password_locked'];

/**
 * Retry-After in whole seconds, spread over half the wait and a second, so that a crowd refused
 * together does not come back together.
 */
export function retryAfterSeconds(code: ProblemCode, waitMs = retryMsDefault): number {
  const spreadMs = atAnInstant.includes(code) ? 0 : Math.random() * (waitMs / 2 + 1_000);
  return Math.max(1, Math.ceil((waitMs + spreadMs) / 1_000));
}

/** Answers with a problem; a code that is worth repeating gets Retry-After. */
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
