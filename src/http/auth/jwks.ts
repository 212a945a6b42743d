import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { createDecoder } from 'fast-jwt';
import { Outage } from '../problems/outage.ts';
import { isRecord } from '../request/record.ts';

export type KeyAlgorithm = 'RS256' | 'RS384' | 'RS512' | 'PS256' | 'ES256' | 'ES384' | 'EdDSA';

/** Between two fetches: a flood of made-up key ids must not become a flood at the key server. */
const fetchEveryMs = 10_000;
const freshMs = 300_000;
/**
 * When the key server has failed for this time no token is accepted: its keys may be withdrawn. Counted
 * from the first fetch that failed, for keys are fetched only when buyers come.
 */
const keptMs = 3_600_000;
const fetchTimeoutMs = 3_000;
const keysMax = 100;
const bytesMax = 262_144;

type Verify<T> = (token: string, onChecked: () => void) => T | undefined;

/** A key of the set that can be used; `id` is '' for a key without one. */
type Key<T> = { id: string; pem: string; verify: Verify<T> };

export type KeySetEvent =
  /** `lost`: keys that the set had before and has no longer. `unusable`: keys that verify nothing here. */
  | { kind: 'fetched'; usable: number; unusable: number; lost: number }
  /** The keys of the last fetch stay in use. */
  | { kind: 'failed'; error: Error; ageMs: number }
  /** The key server has failed for too long, and no token is accepted until the set is fetched again. */
  | { kind: 'given_up'; lost: number; ageMs: number };

export type KeySetOptions = {
  onKeySet?: ((event: KeySetEvent) => void) | undefined;
  /** Milliseconds since any fixed moment, on a clock that never goes back. */
  elapsed?: (() => number) | undefined;
};

export type KeySet<T> = {
  /** Fetches the keys in the background when it is time to. */
  keepFresh(): void;
  /**
   * A promise only while keys are fetched; it rejects with an Outage when there are none. `onChecked` is
   * passed to the `Verify` of each key that is tried.
   */
  verify(token: string, onChecked: () => void): T | undefined | Promise<T | undefined>;
  /** Seconds since the keys were fetched; -1 before the first time. */
  age(): number;
};

/**
 * The public keys of an identity service, by key id. They are fetched when needed and again after
 * `freshMs`; while they cannot be, the last ones are used for
 * `keptMs` more. A token names its key by id only:
 * never by URL, and only from this one set.
 */
export function openKeySet<T>(
  options: KeySetOptions & {
    url: string;
    algorithm: KeyAlgorithm;
    /** Makes the check of one key, given as PEM. @throws Error for a key that it cannot use */
    verifierOf(pem: string): Verify<T>;
  },
): KeySet<T> {
  const { algorithm, onKeySet = () => {}, elapsed = () => performance.now() } = options;
  const decode = createDecoder({ complete: true });
  let keys: Key<T>[] = [];
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let triedAt = Number.NEGATIVE_INFINITY;
  /** When the first fetch failed since the last one that succeeded. */
  let failingSince: number | undefined;
  let fetching: Promise<void> | undefined;
  /** After a long silence the keys may be withdrawn: no token is accepted before that is known. */
  let mustWait = false;

  const mayFetch = () => elapsed() - triedAt > fetchEveryMs;

  const isNamed = (kid: unknown) =>
    kid === undefined ? keys.length === 1 : keys.some(({ id }) => id === kid);

  /** Tries the keys with the token's key id; those without an id where none has it. */
  function check(token: string, kid: unknown, onChecked: () => void): T | undefined {
    const wanted = isNamed(kid) ? kid : '';
    for (const key of keys) {
      const found =
        wanted === undefined || key.id === wanted ? key.verify(token, onChecked) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  function refresh(): Promise<void> {
    triedAt = elapsed();
    fetching ??= load().finally(() => {
      fetching = undefined;
      mustWait = false;
    });
    return fetching;
  }

  async function load(): Promise<void> {
    try {
      const set = await fetchKeys(options.url);
      const before = new Map(keys.map((key) => [key.pem, key]));
      const usable = set.flatMap((jwk) => keyOf(jwk, before) ?? []).slice(0, keysMax);
      const now = new Set(usable.map(({ pem }) => pem));
      const lost = [...before.keys()].filter((pem) => !now.has(pem)).length;
      keys = usable;
      fetchedAt = elapsed();
      failingSince = undefined;
      onKeySet({
        kind: 'fetched',
        usable: usable.length,
        unusable: set.length - usable.length,
        lost,
      });
    } catch (error) {
      failingSince ??= elapsed();
      const failure = error instanceof Error ? error : new Error(String(error));
      onKeySet({ kind: 'failed', error: failure, ageMs: elapsed() - fetchedAt });
      throw error;
    }
  }

  /** A key of the set; undefined for one that verifies nothing here, whatever is wrong with it. */
  function keyOf(jwk: unknown, before: ReadonlyMap<string, Key<T>>): Key<T> | undefined {
    if (!isRecord(jwk)) return undefined;
    const pem = pemOf(jwk, algorithm);
    if (pem === undefined) return undefined;
    const id = typeof jwk['kid'] === 'string' ? jwk['kid'] : '';
    try {
      return { id, pem, verify: before.get(pem)?.verify ?? options.verifierOf(pem) };
    } catch {
      return undefined;
    }
  }

  function keepFresh(): void {
    const ageMs = elapsed() - fetchedAt;
    const failingMs = failingSince === undefined ? 0 : elapsed() - failingSince;
    if (failingMs > keptMs && keys.length > 0) {
      const lost = keys.length;
      keys = [];
      onKeySet({ kind: 'given_up', lost, ageMs });
    }
    if (ageMs <= freshMs || !mayFetch()) return;
    mustWait = elapsed() - triedAt > 2 * freshMs;
    // A failure is reported, and a later token tries again.
    refresh().catch(() => {});
  }

  function verify(token: string, onChecked: () => void): T | undefined | Promise<T | undefined> {
    keepFresh();
    const { alg, kid } = headerOf(decode, token);
    if (alg !== algorithm) return undefined;
    const tryKeys = () => check(token, kid, onChecked);
    if (fetching && (mustWait || keys.length === 0)) return checkAfter(fetching, tryKeys);
    const found = tryKeys();
    if (found !== undefined || isNamed(kid)) return found;
    // The key may be newer than the set.
    if (fetching || mayFetch()) return checkAfter(refresh(), tryKeys);
    if (keys.length === 0) return Promise.reject(new KeySetError('has not been fetched'));
    return undefined;
  }

  async function checkAfter(fetched: Promise<void>, tryKeys: () => T | undefined) {
    try {
      await fetched;
    } catch (error) {
      if (keys.length === 0) throw error;
    }
    if (keys.length === 0) throw new KeySetError(`holds no key for ${algorithm}`);
    return tryKeys();
  }

  return {
    keepFresh,
    verify,
    age: () => (keys.length === 0 ? -1 : Math.round((elapsed() - fetchedAt) / 1_000)),
  };
}

function headerOf(decode: (token: string) => unknown, token: string): Record<string, unknown> {
  try {
    const decoded = decode(token);
    const { header } = isRecord(decoded) ? decoded : {};
    return isRecord(header) ? header : {};
  } catch {
    return {};
  }
}

async function fetchKeys(url: string): Promise<unknown[]> {
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
    return keys;
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
  const operations = key['key_ops'];
  if (Array.isArray(operations) && !operations.includes('verify')) return undefined;
  try {
    const pem = createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    return pem.toString();
  } catch {
    return undefined;
  }
}
