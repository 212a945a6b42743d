import type { z } from 'zod';
import { type FieldError, Problem } from '../problems/problems.ts';
import { shownField } from './json.ts';

/**
 * Fastify's validator for zod schemas: the value as the schema reads it, or a Problem that names
 * every wrong field with a reason. What a caller sent is never repeated, only the names of fields.
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
  const errors: FieldError[] = [];
  for (const issue of result.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        errors.push({ field: fieldName([...issue.path, key], part), reason: 'is not known here' });
      }
    } else {
      errors.push({ field: fieldName(issue.path, part), reason: issue.message });
    }
  }
  return new Problem('invalid_request', { errors: errors.slice(0, 20) });
}

function fieldName(path: PropertyKey[], part: string): string {
  let name = '';
  for (const step of path) {
    if (typeof step === 'number') name += `[${step}]`;
    else name += name ? `.${String(step)}` : String(step);
  }
  return name ? shownField(name) : part;
}

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
        : 'has a form that is not allowed';
    default:
      return 'is not allowed';
  }
}

function bound(origin: string, words: string, limit: number): string {
  if (origin === 'array') return `must hold ${words} ${limit}`;
  if (origin === 'string') return `must have ${words} ${limit} characters`;
  return `must be ${words} ${limit}`;
}

function listed(words: string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
