import type { z } from 'zod';
import { parseJson } from './json.ts';
import { validatorCompiler } from './validation.ts';

/**
 * Reads and validates the bodies of one route and remembers the good ones by their text. A crowd
 * that buys one item sends one text; reading it anew each time costs more than all else that is
 * done with it. Bounded: a long text is read each time, and more than `textsMax` are all forgotten.
 */
export function openKnownBodies<T extends object>(
  schema: z.ZodType<T>,
  { textsMax = 256, lengthMax = 512 } = {},
) {
  const known = new Map<string, T>();
  /** What has been validated already, so that the validator behind the parser lets it through. */
  const good = new WeakSet<object>();
  const validate = validatorCompiler({ schema });

  /** @throws Problem invalid_request */
  function read(text: string): unknown {
    const body = known.get(text);
    if (body !== undefined) return body;
    const result = validate(parseJson(text));
    if ('error' in result) throw result.error;
    const value = freeze(result.value as T);
    good.add(value);
    if (text.length <= lengthMax) {
      if (known.size >= textsMax) known.clear();
      known.set(text, value);
    }
    return value;
  }

  return {
    read,
    /** For Fastify: what `read` gave is good; anything else, such as no body, is judged here. */
    validatorCompiler: () => (given: unknown) =>
      typeof given === 'object' && given !== null && good.has(given)
        ? { value: given }
        : validate(given),
  };
}

/** Many requests share it from now on. */
function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) freeze(member);
  }
  return Object.freeze(value);
}
