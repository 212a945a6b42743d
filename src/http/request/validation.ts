import type { z } from 'zod';
import { type FieldError, Problem } from '../problems/problems.ts';
import { shownField } from './json-fault.ts';

/**
 * Fastify's validator for zod schemas: the parsed value, or a Problem that names every wrong field with
 * a reason. Values that a caller sent are never repeated in it, only names of fields.
 */
export function validatorCompiler<T>({
  schema,
  httpPart = 'body',
}: {
  schema: z.ZodType<T>;
  /** body, querystring, params or headers: named in a refusal that is about the whole of it. */
  httpPart?: string | undefined;
}) {
  return (given: unknown): { value: T } | { error: Problem } => {
    // Fastify gives null where there is no body; none of our schemas takes null.
    const value = given ?? undefined;
    const result = schema.safeParse(value);
    if (result.success) return { value: result.data };
    return { error: explain(schema, value, httpPart) };
  };
}

/** Parses again, now with messages for the caller: refusals may cost more than good requests. */
function explain(schema: z.ZodType, value: unknown, part: string): Problem {
  const result = schema.safeParse(value, { error: reasonOf });
  if (result.success) throw new Error('bug: a refused value was accepted when parsed again');
  const errors = result.error.issues.flatMap((issue) => fieldErrors(issue, part));
  return new Problem('invalid_request', { errors: errors.slice(0, errorsMax) });
}

function fieldErrors(issue: z.core.$ZodIssue, part: string): FieldError[] {
  if (issue.code !== 'unrecognized_keys') {
    return [{ field: fieldName(issue.path, part), reason: issue.message }];
  }
  return issue.keys.map((key) => {
    return { field: fieldName([...issue.path, key], part), reason: 'is not a known field' };
  });
}

function fieldName(path: PropertyKey[], part: string): string {
  let name = '';
  for (const step of path) {
    if (typeof step === 'number') name += `[${step}]`;
    else name += name ? `.${String(step)}` : String(step);
  }
  return name ? shownField(name) : part;
}

const errorsMax = 20;

type RawIssue = Parameters<z.core.$ZodErrorMap>[0];

const kinds: Record<string, string> = {
  string: 'a text',
  number: 'a whole number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
};

function reasonOf(issue: RawIssue): string {
  if (issue.input === undefined) return 'is required';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${kinds[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be ${listed(issue.values.map(String))}`;
    case 'too_small':
      return bound(issue.origin, 'at least', Number(issue.minimum));
    case 'too_big':
      return bound(issue.origin, 'at most', Number(issue.maximum));
    case 'invalid_format':
      return issue.format === 'datetime'
        ? 'must be a time such as 2026-11-30T12:00:00+08:00'
        : 'has the wrong format';
    default:
      return 'is not allowed';
  }
}

function bound(origin: string, comparison: string, limit: number): string {
  if (origin === 'array') return `must hold ${comparison} ${limit}`;
  if (origin === 'string') return `must have ${comparison} ${limit} characters`;
  return `must be ${comparison} ${limit}`;
}

function listed(values: string[]): string {
  if (values.length < 2) return values.join('');
  return `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
