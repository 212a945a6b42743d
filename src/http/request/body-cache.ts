import type { z } from 'zod';
import { parseJson } from './json.ts';
import { validatorCompiler } from './validation.ts';

/**
 * Reads and validates the bodies of one route and remembers the valid ones by their text. A crowd
 * that buys one item sends one text; parsing it anew each time costs more than all else that is
 * done with it. Bounded: a text longer than `lengthMax` is parsed each time, and beyond `textsMax`
 * texts the cache is cleared. A body that `keeps` refuses is not remembered.
 */
export function openBodyCache<T extends object>(
  schema: z.ZodType<T>,
  options: { textsMax?: number; lengthMax?: number; keeps?(body: T): boolean } = {},
) {
  const { textsMax = 256, lengthMax = 512, keeps = () => true } = options;
  const byText = new Map<string, T>();
  /** Bodies that `read` has validated, so that the validator after the parser accepts them at once. */
  const valid = new WeakSet<object>();
  const validate = validatorCompiler({ schema });

  /** @throws Problem invalid_request */
  function read(text: string): unknown {
    const body = byText.get(text);
    if (body !== undefined) return body;
    const result = validate(parseJson(text));
    if ('error' in result) throw result.error;
    const value = freeze(result.value);
    valid.add(value);
    if (text.length <= lengthMax && keeps(value)) {
      if (byText.size >= textsMax) byText.clear();
      byText.set(text, value);
    }
    return value;
  }

  return {
    read,
    /** For Fastify: a body from `read` is valid; anything else, such as no body, is validated here. */
    validatorCompiler: () => (given: unknown) =>
      typeof given === 'object' && given !== null && valid.has(given)
        ? { value: given }
        : validate(given),
  };
}

/** Freezes a body with all that is in it: many requests share it from now on. */
function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) freeze(member);
  }
  return Object.freeze(value);
}
