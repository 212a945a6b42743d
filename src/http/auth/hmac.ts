import { hash } from 'node:crypto';
import { isRecord } from '../request/record.ts';

export type HmacAlgorithm = 'HS256' | 'HS384' | 'HS512';

type Shape = { digest: string; blockBytes: number; tagBytes: number };

const shapes: Record<HmacAlgorithm, Shape> = {
  HS256: { digest: 'sha256', blockBytes: 64, tagBytes: 32 },
  HS384: { digest: 'sha384', blockBytes: 128, tagBytes: 48 },
  HS512: { digest: 'sha512', blockBytes: 128, tagBytes: 64 },
};

const tokenPattern = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const inputBytesMax = 8_192;

/** Whether a text has the form of a signed JWT; whether it is valid is another question. */
export function isTokenShaped(text: string): boolean {
  return tokenPattern.test(text);
}
const headersMax = 64;

/**
 * Verifies the signature of a JWT under a shared secret and gives its claims; undefined when it is not
 * valid. A Buy is most often the first request of its buyer, so each one pays for this: HMAC is two
 * one-shot hashes over pads that are made once, which costs half of what a general library takes
 * (docs/decisions, 4). The caller checks the claims.
 */
export function openHmacCheck(options: { secret: string; algorithm: HmacAlgorithm }) {
  const { digest, blockBytes, tagBytes } = shapes[options.algorithm];
  const { inner, outer } = padsOf(options.secret, { digest, blockBytes, tagBytes });
  const input = Buffer.alloc(blockBytes + inputBytesMax);
  inner.copy(input);
  /** Whether a header is valid, by its text: all tokens of an issuer have the same one. */
  const headers = new Map<string, boolean>();

  function isHeaderValid(text: string): boolean {
    const known = headers.get(text);
    if (known !== undefined) return known;
    const { alg, crit } = decode(text) ?? {};
    const isValid = alg === options.algorithm && crit === undefined;
    if (headers.size >= headersMax) headers.clear();
    headers.set(text, isValid);
    return isValid;
  }

  function tagOf(signed: string): string {
    const bytes = input.write(signed, blockBytes, 'latin1');
    // As text, not as a buffer: allocating a buffer costs more than the hash.
    outer.write(
      hash(digest, input.subarray(0, blockBytes + bytes), 'binary'),
      blockBytes,
      'latin1',
    );
    return hash(digest, outer, 'base64url');
  }

  return (token: string): Record<string, unknown> | undefined => {
    if (token.length > inputBytesMax || !isTokenShaped(token)) return undefined;
    const headerEnd = token.indexOf('.');
    const payloadEnd = token.lastIndexOf('.');
    if (!isHeaderValid(token.slice(0, headerEnd))) return undefined;
    const tag = tagOf(token.slice(0, payloadEnd));
    const signature = token.slice(payloadEnd + 1);
    return isSame(tag, signature) ? decode(token.slice(headerEnd + 1, payloadEnd)) : undefined;
  };
}

/** The two pads of RFC 2104, XORed with the key; `outer` has room for the inner hash after it. */
function padsOf(secret: string, shape: Shape) {
  const { digest, blockBytes, tagBytes } = shape;
  const given = Buffer.from(secret);
  const key = given.length > blockBytes ? hash(digest, given, 'buffer') : given;
  const inner = Buffer.alloc(blockBytes, 0x36);
  const outer = Buffer.alloc(blockBytes + tagBytes, 0x5c);
  for (const [at, byte] of key.entries()) {
    inner[at] = byte ^ 0x36;
    outer[at] = byte ^ 0x5c;
  }
  return { inner, outer };
}

/** Compares two texts in a time that does not depend on where they differ. */
function isSame(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at += 1) difference |= a.charCodeAt(at) ^ b.charCodeAt(at);
  return difference === 0;
}

/** Shared, because it is written and read at once: a buffer for each token would cost more. */
const decoded = Buffer.alloc(inputBytesMax);

/** The JSON object that a part of a token encodes; undefined when it encodes none. */
function decode(part: string): Record<string, unknown> | undefined {
  try {
    const bytes = decoded.write(part, 'base64url');
    const value: unknown = JSON.parse(decoded.toString('utf8', 0, bytes));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
