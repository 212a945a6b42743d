import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { createDecoder } from 'fast-jwt';
import { Outage } from '../problems/outage.ts';
import { isRecord } from '../request/record.ts';

export type KeyAlgorithm = 'RS256' | 'RS384' | 'RS512' | 'PS256' | 'ES256' | 'ES384' | 'EdDSA';

/** Between two fetches: a flood of made-up key ids must not become a flood at the key server. */
const fetchEveryMs = 10_000;
const freshMs = 600_000;
const fetchTimeoutMs = 3_000;
const keysMax = 100;
const bytesMax = 262_144;

type Verify<T> = (token: string) => T | undefined;

/**
 * The public keys of an identity service, by key id. They are fetched when needed and refreshed after
 * `freshMs`. A token names its key by id only: never by URL, and only from this one set.
 */
export function openKeySet<T>(options: {
  url: string;
  algorithm: KeyAlgorithm;
  /** Makes the check of one key, given as PEM. */
  verifierOf(pem: string): Verify<T>;
}): { verify(token: string): T | undefined | Promise<T | undefined> } {
  const decode = createDecoder({ complete: true });
  let verifiers = new Map<string, Verify<T>>();
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let triedAt = Number.NEGATIVE_INFINITY;
  let fetching: Promise<void> | undefined;

  function keyIdOf(token: string): string | undefined {
    try {
      const { alg, kid } = headerOf(decode(token));
      if (alg !== options.algorithm) return undefined;
      if (kid === undefined) return verifiers.size === 1 ? [...verifiers.keys()][0] : '';
      return typeof kid === 'string' ? kid : undefined;
    } catch {
      return undefined;
    }
  }

  function refresh(): Promise<void> {
    triedAt = performance.now();
    fetching ??= load().finally(() => {
      fetching = undefined;
    });
    return fetching;
  }

  async function load(): Promise<void> {
    const found = new Map<string, Verify<T>>();
    for (const key of (await fetchKeys(options.url)).slice(0, keysMax)) {
      const pem = pemOf(key, options.algorithm);
      if (pem) found.set(typeof key['kid'] === 'string' ? key['kid'] : '', options.verifierOf(pem));
    }
    verifiers = found;
    fetchedAt = performance.now();
  }

  function verify(token: string): T | undefined | Promise<T | undefined> {
    if (performance.now() - fetchedAt > freshMs && performance.now() - triedAt > fetchEveryMs) {
      // Known keys stay in use while newer ones are fetched, and when they cannot be fetched.
      const refreshed = refresh();
      if (verifiers.size === 0) return refreshed.then(() => verify(token));
      refreshed.catch(() => {});
    }
    const id = keyIdOf(token);
    if (id === undefined) return undefined;
    const verifier = verifiers.get(id);
    if (verifier) return verifier(token);
    if (fetching || performance.now() - triedAt > fetchEveryMs) {
      return refresh().then(() => verifiers.get(keyIdOf(token) ?? '\0')?.(token));
    }
    if (verifiers.size === 0) return Promise.reject(new KeySetError('could not be fetched'));
    return undefined;
  }

  return { verify };
}

function headerOf(decoded: unknown): Record<string, unknown> {
  const { header } = isRecord(decoded) ? decoded : {};
  return isRecord(header) ? header : {};
}

async function fetchKeys(url: string): Promise<JsonWebKey[]> {
  try {
    const response = await fetch(url, {
      signal: AbortSignal.timeout(fetchTimeoutMs),
      redirect: 'error',
      headers: { accept: 'application/json' },
    });
    if (!response.ok) throw new KeySetError(`answered ${response.status}`);
    const text = await response.text();
    if (text.length > bytesMax) throw new KeySetError('is too large');
    const set: unknown = JSON.parse(text);
    const { keys } = isRecord(set) ? set : {};
    if (!Array.isArray(keys)) throw new KeySetError('holds no keys');
    return keys.filter(isRecord);
  } catch (cause) {
    if (cause instanceof KeySetError) throw cause;
    throw new KeySetError('could not be fetched', { cause });
  }
}

/** The key server did not answer: no token can be verified, which is not the buyer's mistake. */
class KeySetError extends Outage {
  constructor(message: string, options?: ErrorOptions) {
    super(`the key set ${message}`, options);
    this.name = 'KeySetError';
  }
}

const keyTypes: Record<KeyAlgorithm, string> = {
  RS256: 'RSA',
  RS384: 'RSA',
  RS512: 'RSA',
  PS256: 'RSA',
  ES256: 'EC',
  ES384: 'EC',
  EdDSA: 'OKP',
};

/** A key as PEM; undefined when it cannot verify signatures under the algorithm. */
function pemOf(key: JsonWebKey, algorithm: KeyAlgorithm): string | undefined {
  if (key.kty !== keyTypes[algorithm]) return undefined;
  if ((key['use'] ?? 'sig') !== 'sig' || (key['alg'] ?? algorithm) !== algorithm) return undefined;
  try {
    const pem = createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    return pem.toString();
  } catch {
    return undefined;
  }
}
