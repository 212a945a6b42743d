/** The key that an `Idempotency-Key` header gives, or why it gives none. */
export type KeyReading = { key: string } | { missing: true } | { reason: string };

const keyLengthMax = 128;
const bare = /^[\x21\x23-\x7e][\x21-\x7e]*$/;
const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;

/**
 * Reads the header in either form: bare (`abc`), or as the quoted string that the HTTP draft on
 * idempotency keys defines (`"abc"`). Both give the same key.
 */
export function readIdempotencyKey(header: string | string[] | undefined): KeyReading {
  if (header === undefined) return { missing: true };
  if (typeof header !== 'string') return { reason: 'is given more than once' };
  if (header === '' || header === '""') return { reason: 'is empty' };
  let key = header;
  if (!bare.test(header)) {
    const inside = quoted.exec(header)?.[1];
    // Node joins a repeated header with ", ": the space makes it invalid here, too.
    if (inside === undefined) {
      return { reason: 'must be printable ASCII without spaces, or such text in double quotes' };
    }
    key = inside.replace(/\\(["\\])/g, '$1');
  }
  return key.length > keyLengthMax
    ? { reason: `must be at most ${keyLengthMax} characters` }
    : { key };
}
