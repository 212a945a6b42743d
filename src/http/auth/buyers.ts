import { createSigner, createVerifier, TokenError } from 'fast-jwt';
import type { BuyerId } from '../../domain/ids.ts';
import { openGenerationalCache } from '../request/generational-cache.ts';
import { isRecord } from '../request/record.ts';
import { type Bearer, judgeClaims } from './claims.ts';
import { type HmacAlgorithm, isTokenShaped, openHmacCheck } from './hmac.ts';
import { type KeyAlgorithm, type KeySetOptions, openKeySet } from './jwks.ts';
import { type CredentialRefusal, refused } from './refused.ts';

/** How buyers' tokens are verified. Only `algorithm` is accepted, whatever a token's header says. */
export type TokenRules = { issuer?: string; audience?: string } & (
  | { kind: 'secret'; algorithm: HmacAlgorithm; secret: string }
  | { kind: 'jwks'; algorithm: KeyAlgorithm; url: string }
);

type Verified = Bearer | CredentialRefusal;
type Identified = BuyerId | CredentialRefusal;

export type Buyers = {
  /**
   * The buyer whom an Authorization header identifies, or why the header identifies none. A promise
   * only while keys are fetched, where it rejects with an Outage when they cannot be, or while the
   * token waits for its check: it rejects with QueueFull when too many do.
   */
  identify(
    authorization: string | undefined,
    from?: { readonly ip: string },
  ): Identified | Promise<Identified>;
  /** Seconds since the keys of the identity service were fetched; 0 under a shared secret. */
  keysAge(): number;
};

/** Bounds what checks of made-up tokens cost, by the address that they come from. */
export type CheckLimits = {
  /** Runs a check at once, or when it is its turn. */
  run<T>(address: string, check: () => T | Promise<T>): T | Promise<T>;
  /** Is called within the check when a signature was checked in vain. */
  failed(address: string): void;
};

const unlimited: CheckLimits = { run: (_, check) => check(), failed() {} };

const wrongSignature = TokenError.codes.invalidSignature;

const nowhere = { ip: '' };

/** Characters of an Authorization header; a token with many claims has several thousand. */
const authorizationMax = 8_192;
const rememberedYoungMax = 10_000;
/** A token is verified anew after this time, whatever it says of itself. */
const rememberedMs = 300_000;

/** The token in `Bearer <token>`, or why there is none. */
export function bearerOf(authorization: string | undefined): string | CredentialRefusal {
  if (authorization === undefined) return refused.missing;
  if (authorization.length > authorizationMax) return refused.tooLong;
  if (authorization.startsWith('Bearer ')) return authorization.slice(7);
  // Credentials of another scheme are none of ours.
  if (!/^bearer(?: |$)/i.test(authorization)) return refused.missing;
  return /^bearer ([^ ]+)$/i.exec(authorization)?.[1] ?? refused.malformed;
}

/**
 * Identifies buyers by their tokens. Under a shared secret each token is verified anew, which costs
 * about as much as remembering it. Under public keys, valid tokens are remembered for minutes at most,
 * and until the set loses a key; the memory is bounded. A signature then costs as much to check as the
 * rest of a request, so the failed checks of a network from which many tokens were refused are paced.
 */
export function openBuyers(
  rules: TokenRules,
  now: () => number = Date.now,
  {
    onKeySet,
    elapsed,
    checks = unlimited,
  }: KeySetOptions & { checks?: CheckLimits | undefined } = {},
): Buyers {
  if (rules.kind === 'secret') {
    const verify = secretVerifier(rules, now);
    return {
      identify(authorization) {
        const token = bearerOf(authorization);
        return typeof token === 'string' ? identified(verify(token)) : token;
      },
      keysAge: () => 0,
    };
  }

  const openMemory = () =>
    openGenerationalCache<Bearer & { token: string }>({ youngMax: rememberedYoungMax });
  let remembered = openMemory();
  const keySet = openKeySet({
    ...rules,
    verifierOf: (key) => keyVerifier(rules, key, now),
    elapsed,
    onKeySet(event) {
      if (event.kind !== 'failed' && event.lost > 0) remembered = openMemory();
      onKeySet?.(event);
    },
  });

  function recall(token: string): BuyerId | undefined {
    const known = remembered.get(cacheKey(token));
    return known?.token === token && known.acceptedUntil > now() ? known.buyer : undefined;
  }

  function check(token: string, address: string): Identified | Promise<Identified> {
    let wasChecked = false;
    /** `verified` is undefined when no key of the set has signed the token. */
    const settle = (verified: Verified = refused.invalid): Identified => {
      if ('buyer' in verified) {
        const acceptedUntil = Math.min(verified.acceptedUntil, now() + rememberedMs);
        remembered.set(cacheKey(token), { ...verified, acceptedUntil, token });
      } else if (wasChecked) {
        checks.failed(address);
      }
      return identified(verified);
    };
    const found = keySet.verify(token, () => {
      wasChecked = true;
    });
    return found instanceof Promise ? found.then(settle) : settle(found);
  }

  return {
    identify(authorization, from = nowhere) {
      const token = bearerOf(authorization);
      if (typeof token !== 'string') return token;
      if (!isTokenShaped(token)) return refused.malformed;
      keySet.keepFresh();
      const known = recall(token);
      if (known !== undefined) return known;
      // Behind trusted proxies the address costs a parse of X-Forwarded-For: only unknown tokens need it.
      const { ip } = from;
      // While the token waited, another request may have had it checked.
      return checks.run(ip, () => recall(token) ?? check(token, ip));
    },
    keysAge: keySet.age,
  };
}

function identified(verified: Verified): Identified {
  return 'buyer' in verified ? verified.buyer : verified;
}

/** The end of a token's signature: faster to look up than the whole, which is compared afterwards. */
function cacheKey(token: string): string {
  return token.slice(-32);
}

function secretVerifier(rules: TokenRules & { kind: 'secret' }, now: () => number) {
  const check = openHmacCheck(rules);
  return (token: string): Verified => {
    const claims = check(token);
    if (claims) return judgeClaims(claims, rules, now());
    return isTokenShaped(token) ? refused.invalid : refused.malformed;
  };
}

/**
 * Verifies tokens under one key; undefined for a token that another key has signed. Calls `onChecked` once
 * a signature was checked; what is refused before that costs little.
 * @throws Error for a key that the algorithm cannot use
 */
function keyVerifier(rules: TokenRules, key: string, now: () => number) {
  const verify = createVerifier({
    key,
    algorithms: [rules.algorithm],
    // The claims are judged as under a secret, with the same leeway.
    ignoreExpiration: true,
    ignoreNotBefore: true,
  });
  return (token: string, onChecked: () => void): Verified | undefined => {
    try {
      const claims: unknown = verify(token);
      onChecked();
      return isRecord(claims) ? judgeClaims(claims, rules, now()) : refused.invalid;
    } catch (error) {
      if (error instanceof TokenError && error.code === wrongSignature) onChecked();
      return undefined;
    }
  };
}

const lifetimeMsDefault = 24 * 3_600_000;

/** Signs tokens that `openBuyers` accepts under the same rules; for demo mode and tests. */
export function openSigner(rules: TokenRules, now: () => number = Date.now) {
  if (rules.kind !== 'secret') throw new Error('bug: only a shared secret can sign');
  const sign = createSigner({
    key: rules.secret,
    algorithm: rules.algorithm,
    ...(rules.issuer === undefined ? {} : { iss: rules.issuer }),
    ...(rules.audience === undefined ? {} : { aud: rules.audience }),
  });
  return (buyer: BuyerId, lifetimeMs = lifetimeMsDefault): string =>
    sign({ sub: buyer, exp: Math.floor((now() + lifetimeMs) / 1_000) });
}
