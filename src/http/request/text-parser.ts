/**
 * A parser for Fastify that turns the text of a body into a value with `read`. Not async: a promise
 * costs a Buy more than reading its body.
 */
export function textParser(read: (text: string) => unknown) {
  return (
    _request: unknown,
    text: string,
    done: (error: Error | null, body?: unknown) => void,
  ): void => {
    let value: unknown;
    try {
      value = read(text);
    } catch (error) {
      done(error instanceof Error ? error : new Error('bug: not an error', { cause: error }));
      return;
    }
    done(null, value);
  };
}
