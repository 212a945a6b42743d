import type { components, operations } from './api.ts';

type Schemas = components['schemas'];

type CodesOf<Responses> = {
  [Status in keyof Responses]: Responses[Status] extends {
    content: { 'application/problem+json': { code?: infer Code } };
  }
    ? Code
    : never;
}[keyof Responses];

/** Every code that the routes of buyers and visitors had when this version was made. */
export type ProblemCode = NonNullable<
  { [Name in keyof operations]: CodesOf<operations[Name]['responses']> }[keyof operations]
>;

/**
 * The codes of this client itself, under which no answer of the engine is known:
 * - no_answer: the network gave none before the deadline; `status` is 0
 * - unexpected_answer: something else than the engine answered, such as a proxy
 */
export type ClientCode = 'no_answer' | 'unexpected_answer';

/** What a code has beside the members of every problem. */
type Members = {
  invalid_request: { errors?: { field: string; reason: string }[] };
  unauthorized: { reason?: 'missing' | 'malformed' | 'expired' | 'not_yet_valid' | 'invalid' };
  no_appointment: { until: string };
  sold_out: { available: number };
  all_held: { available: number; retryAfterMs: number };
  buyer_limit: { limit: number; scope: Schemas['Problem']['scope']; order?: string };
  lapse_limit: { lapses: number; limit: number };
  drop_not_open: { startsAt: string; retryAfterMs: number };
  appointments_not_open: { from: string; until: string; retryAfterMs: number };
  appointments_closed: { until?: string };
  order_ended: { state: string };
  payment_password_wrong: { triesLeft: number };
  payment_password_locked: { until: string; retryAfterMs: number };
  outcome_unknown: { order?: string };
};

type Common = {
  /** 0 when there was no answer. */
  status: number;
  /** One sentence in English. Show your own words by `code`. */
  title: string;
  /** What can be done about it, for the developer. */
  detail: string;
  /** Where the same call may succeed later: ms from the answer on. */
  retryAfterMs?: number;
  /** Finds the failure in the engine's log. */
  requestId?: string;
};

/**
 * A code that this version does not know, from a newer engine: any text. The type has a tail that no
 * code has, so that no literal matches it: a `switch` over `code` then narrows the known ones and
 * leaves this one to `default`, which TypeScript would not do for `string`.
 */
export type NewerCode = `${string}\u0000`;

/** Why a call failed, discriminated by `code`. */
export type Problem =
  | {
      [Code in ProblemCode | ClientCode]: Common & { code: Code } & (Code extends keyof Members
          ? Members[Code]
          : unknown);
    }[ProblemCode | ClientCode]
  | (Common & { code: NewerCode });

/** What every failed call throws, except for an abort (the signal's reason) or a token provider's own error. */
export class FlashdropError extends Error {
  readonly problem: Problem;
  constructor(problem: Problem, options?: ErrorOptions) {
    super(`${problem.title} (${problem.code})`, options);
    this.name = 'FlashdropError';
    this.problem = problem;
  }
}

/** Nothing came in time: what happened is not known. */
export const noAnswer = {
  code: 'no_answer',
  status: 0,
  title: 'The engine did not answer',
  detail:
    'Whether the request was carried out is not known. Call again: a Buy keeps its key, and nothing is bought twice.',
} as const;

const temporary = [0, 408, 429, 500, 502, 503, 504];

/** Whether the same request, sent again, may be answered otherwise within seconds. */
export function isTemporary({ code, status }: Problem): boolean {
  // Somebody has to rebuild a frozen drop, which takes longer than a buyer waits.
  if (code === 'drop_frozen') return false;
  // A sign-in page of a public network says 200 to everything.
  if (code === 'unexpected_answer' && status < 400) return true;
  return temporary.includes(status) || (code as string) === 'in_progress';
}

/** True when the engine says that it has done nothing, and only then. */
export function isUntouched({ code }: Problem): boolean {
  return code === 'rate_limited' || code === 'overloaded';
}

/** Reads the problem document of a refusal. */
export function problemOf(response: Response, text: string): Problem {
  const { status } = response;
  const body = parsed<Problem>(text);
  const problem: Problem =
    status >= 400 && typeof body?.code === 'string'
      ? { ...body, status }
      : {
          code: 'unexpected_answer',
          status,
          title: 'The answer is not one of the engine',
          detail: `Check the address, and what stands between: the status is ${status}.`,
        };
  // Seconds, from a proxy that sends all its clients away at once: spread them.
  const seconds = Number(response.headers.get('retry-after') || Number.NaN);
  if (problem.retryAfterMs === undefined && seconds >= 0) {
    problem.retryAfterMs = seconds * 1_000 + Math.random() * 1_000;
  }
  return problem;
}

/** An object of JSON, trusted to be of this type; undefined for anything else. */
export function parsed<T extends object>(text: string): T | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
