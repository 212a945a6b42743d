import type { FastifySchema } from 'fastify';
import { z } from 'zod';
import { limitScopes } from '../../inventory/replies.ts';
import { type ProblemCode, problems, problemType } from '../problems/problems.ts';

declare module 'fastify' {
  interface FastifySchema {
    /** The contract that the OpenAPI document of the route is made from. */
    contract?: Contract;
  }
}

/**
 * The requests and answers of a route, defined once for validation, types, serialisers and OpenAPI.
 */
export type Contract = {
  tag: 'Public' | 'Buyers' | 'Merchants' | 'Providers' | 'Demo' | 'Operations';
  summary: string;
  description?: string;
  who?: 'buyer' | 'merchant' | 'operator';
  body?: z.ZodType;
  /** Content types of a body that the route reads itself, instead of a validated `body`. */
  bodyTypes?: string[];
  querystring?: z.ZodType;
  /**
   * What a request takes of its caller's budget (limits/budgets.ts), in units of a cheap one; 1 unless
   * given, or told by the query before it is checked. 0: the route charges by itself, or is for callers
   * who are not limited.
   */
  cost?: number | ((query: Record<string, unknown>) => number);
  /** The route needs an Idempotency-Key header. */
  idempotent?: true;
  /** The route takes an If-Match header. */
  conditional?: true;
  answers: Record<number, Answer>;
  /** Codes beyond those that any route may answer with. */
  problems?: ProblemCode[];
};

/** Keeps the types of a contract's schemas, from which addRoute types the request. */
export function contract<C extends Contract>(value: C): C {
  return value;
}

type Answer = {
  description: string;
  schema?: z.ZodType;
  /** application/json when absent. */
  mediaTypes?: string[];
  headers?: Record<string, string>;
};

const anyRoute: ProblemCode[] = [
  'invalid_request',
  'request_timeout',
  'headers_too_large',
  'internal_error',
  'unavailable',
];

/** The catalogue codes that a route may answer with. */
export function problemsOf(contract: Contract): ProblemCode[] {
  return [
    ...anyRoute,
    ...(contract.who ? (['unauthorized'] as const) : []),
    ...(contract.cost === 0 || contract.who === 'operator' ? [] : (['rate_limited'] as const)),
    ...(contract.body ? (['body_too_large', 'unsupported_media_type'] as const) : []),
    ...(contract.bodyTypes ? (['unsupported_media_type'] as const) : []),
    ...(contract.idempotent ? (['idempotency_key_missing'] as const) : []),
    ...(contract.problems ?? []),
  ];
}

/** The schema for Fastify: zod to validate requests, JSON Schema to serialise answers. */
export function schemaOf(contract: Contract): FastifySchema {
  const response: Record<string, unknown> = {};
  for (const [status, { schema, mediaTypes }] of Object.entries(contract.answers)) {
    if (schema && !mediaTypes) response[status] = jsonSchema(schema, 'output', 'draft-7');
  }
  return {
    ...(contract.body ? { body: contract.body } : {}),
    ...(contract.querystring ? { querystring: contract.querystring } : {}),
    response,
    contract,
  };
}

/** The schema for @fastify/swagger: the contract of a route as JSON Schema. */
export function documented(schema: FastifySchema): FastifySchema {
  const { contract } = schema;
  if (!contract) return { hide: true };
  const { tag, summary, description, who, body, bodyTypes, querystring } = contract;
  const { idempotent, conditional } = contract;
  return {
    tags: [tag],
    summary,
    ...(description ? { description } : {}),
    security: who ? [{ [who]: [] }] : [],
    ...(body ? { body: bodySchema(body) } : {}),
    ...(bodyTypes ? { body: { content: textsOf(bodyTypes) } } : {}),
    ...(querystring ? { querystring: jsonSchema(querystring, 'input') } : {}),
    ...(idempotent ? { headers: idempotencyHeader } : {}),
    ...(conditional ? { headers: ifMatchHeader } : {}),
    response: { ...answersOf(contract), ...refusalsOf(contract) },
  };
}

/** Marks a body that may be absent: the library says `required` of every one. */
export const optionalBody = 'x-optional-body';

function bodySchema(body: z.ZodType): Record<string, unknown> {
  const schema = jsonSchema(body, 'input');
  return body.safeParse(undefined).success ? { ...schema, [optionalBody]: true } : schema;
}

function textsOf(types: string[]): Record<string, unknown> {
  return Object.fromEntries(types.map((type) => [type, { schema: { type: 'string' } }]));
}

const idempotencyHeader = {
  type: 'object',
  required: ['Idempotency-Key'],
  properties: {
    'Idempotency-Key': {
      type: 'string',
      minLength: 1,
      maxLength: 128,
      description: 'Printable ASCII, bare or in double quotes; both forms mean the same key.',
    },
  },
};

const ifMatchHeader = {
  type: 'object',
  properties: {
    'If-Match': { type: 'string', description: 'The revision that was read, in double quotes.' },
  },
};

function answersOf(contract: Contract): Record<string, unknown> {
  const answers: Record<string, unknown> = {};
  for (const [status, answer] of Object.entries(contract.answers)) {
    const { description, schema, mediaTypes = ['application/json'], headers } = answer;
    const types = schema || answer.mediaTypes ? mediaTypes : [];
    const shape = schema ? jsonSchema(schema, 'output') : { type: 'string' };
    answers[status] = {
      description,
      ...(types.length > 0
        ? { content: Object.fromEntries(types.map((type) => [type, { schema: shape }])) }
        : {}),
      ...(headers
        ? {
            headers: Object.fromEntries(
              Object.entries(headers).map(([name, text]) => [
                name,
                { type: 'string', description: text },
              ]),
            ),
          }
        : {}),
    };
  }
  return answers;
}

function refusalsOf(contract: Contract): Record<string, unknown> {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of problemsOf(contract)) {
    const { status } = problems[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const refusals: Record<string, unknown> = {};
  for (const [status, codes] of byStatus) {
    refusals[status] = {
      description: codes.map((code) => `\`${code}\`: ${problems[code].title}`).join('; '),
      content: {
        [problemType]: {
          schema: {
            allOf: [
              { $ref: 'Problem#' },
              { type: 'object', properties: { code: { type: 'string', enum: codes } } },
            ],
          },
        },
      },
    };
  }
  return refusals;
}

function jsonSchema(
  schema: z.ZodType,
  io: 'input' | 'output',
  target: 'draft-7' | 'draft-2020-12' = 'draft-2020-12',
): Record<string, unknown> {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io,
    target,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      // The format is enough for readers; zod's pattern checks calendars and is long.
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
    },
  });
  return json;
}

/** The problem document, shared by every refusal in the OpenAPI document. */
export const problemSchema = {
  $id: 'Problem',
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string', format: 'uri-reference' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string' },
    detail: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['field', 'reason'],
        properties: { field: { type: 'string' }, reason: { type: 'string' } },
      },
    },
    order: { type: 'string' },
    limit: { type: 'integer' },
    lapses: { type: 'integer' },
    scope: { type: 'string', enum: limitScopes },
    available: { type: 'integer' },
    allotment: { type: 'integer' },
    state: { type: 'string' },
    startsAt: { type: 'string', format: 'date-time' },
    from: { type: 'string', format: 'date-time' },
    until: { type: 'string', format: 'date-time' },
    requestId: { type: 'string' },
    retryAfterMs: { type: 'integer' },
    triesLeft: { type: 'integer' },
    refundable: { type: 'integer' },
    revision: { type: 'integer' },
    columns: { type: 'array', items: { type: 'string' } },
    lines: { type: 'integer' },
    imported: { type: 'integer' },
    already: { type: 'integer' },
    bad: { type: 'integer' },
    badLines: {
      type: 'array',
      items: {
        type: 'object',
        required: ['line', 'reason'],
        properties: { line: { type: 'integer' }, reason: { type: 'string' } },
      },
    },
  },
};
