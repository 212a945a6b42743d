import type { FastifyReply } from 'fastify';
import type { LimitScope } from '../../inventory/replies.ts';
import { problems } from './catalogue.ts';
import type { ProblemEntry } from './problem-entry.ts';

export { problems };

export type ProblemCode = keyof typeof problems;
export const problemCodes = Object.keys(problems).filter(isProblemCode);

export function isProblemCode(text: string): text is ProblemCode {
  return Object.hasOwn(problems, text);
}

export type FieldError = { field: string; reason: string };

/** Members of an answer beyond its catalogue entry. */
export type ProblemMembers = {
  /** Of `request_refused` alone, which stands for several. */
  status?: number;
  /** In place of the catalogue's, where a case of the code needs other words. */
  detail?: string;
  errors?: FieldError[];
  /** Why credentials were refused. */
  reason?: string;
  order?: string | undefined;
  /** What one buyer may have: units, of the item or the drop as `scope` says, or lapses. */
  limit?: number;
  scope?: LimitScope;
  lapses?: number;
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
  revision?: number;
  columns?: string[];
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
    return [code, JSON.stringify(entryOf(code)).slice(0, -1)];
  }),
);

function entryOf(code: ProblemCode) {
  const { status, title, detail } = problems[code];
  return { type: `/docs/errors#${code}`, title, status, code, detail };
}

/** The text of a problem document (RFC 9457). */
export function problemText(code: ProblemCode, members?: ProblemMembers): string {
  if (members?.status !== undefined || members?.detail !== undefined) {
    return JSON.stringify({ ...entryOf(code), ...members });
  }
  const head = heads.get(code);
  const more = members ? JSON.stringify(members) : '{}';
  return more === '{}' ? `${head}}` : `${head},${more.slice(1)}`;
}

/**
 * How much later than its instant a wait may end, ms, where the instant is known: the opening, the end
 * of a lock or of a hold.
 */
const jitterMs: Partial<Record<ProblemCode, number>> = {
  drop_not_open: 100,
  appointments_not_open: 100,
  payment_password_locked: 100,
  rate_limited: 100,
  all_held: 1_000,
};

/**
 * The wait that an answer tells, whole ms: `waitMs` and a random part, so that clients refused together
 * do not come back together. Where nobody knows when it will go on, that part is up to a second and
 * half of the wait.
 */
export function retryAfter(code: ProblemCode, waitMs = retryMsDefault): number {
  return Math.ceil(waitMs + Math.random() * (jitterMs[code] ?? waitMs / 2 + 1_000));
}

/** The header Retry-After, which has whole seconds: never earlier than `retryAfterMs`. */
export function retryAfterSeconds(retryAfterMs: number): number {
  return Math.max(1, Math.ceil(retryAfterMs / 1_000));
}

/** Answers with a problem document, with Retry-After where the catalogue says `retry`. */
export function sendProblem(
  reply: FastifyReply,
  code: ProblemCode,
  members?: ProblemMembers,
): FastifyReply {
  const entry: ProblemEntry = problems[code];
  reply
    .code(members?.status ?? entry.status)
    .header('content-type', `${problemType}; charset=utf-8`);
  // In place of what a route has set for its own answer.
  reply.header('cache-control', 'no-store');
  if (!entry.retry) return reply.send(problemText(code, members));
  const retryAfterMs = retryAfter(code, members?.retryAfterMs);
  reply.header('retry-after', retryAfterSeconds(retryAfterMs));
  return reply.send(problemText(code, { ...members, retryAfterMs }));
}
