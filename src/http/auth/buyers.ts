import { createSigner, createVerifier, TokenError } from 'fast-jwt';
import type { BuyerId } from '../../domain/ids.ts';
import { openGenerationalCache } from '../request/generational-cache.ts';
import { isRecord } from '../request/record.ts';
import { type HmacAlgorithm, isTokenShaped, openHmacCheck } from './hmac.ts';
import { type KeyAlgorithm, openKeySet } from './jwks.ts';
import { type CredentialRefusal, refused } from './refused.ts';

/** How buyers' tokens are verified. Only `algorithm` is accepted, whatever a token's header says. */
export type TokenRules = { issuer?: string; audience?: string } & (
  | { kind: 'secret'; algorithm: HmacAlgorithm; secret: string }
  | { kind: 'jwks'; algorithm: KeyAlgorithm; url: string }
);

/** The buyer of a token, and when the token expires (ms since the epoch). */
type Bearer = { buyer: BuyerId; expiresAt: number };
type Verified = Bearer | CredentialRefusal;
type Verify = (token: string) => Verified;
type Identified = BuyerId | CredentialRefusal;

export type Buyers = {
  /**
   * The buyer whom an Authorization header identifies, or why the header identifies none. A promise
   * only while keys are fetched; it rejects with an Outage when they cannot be.
   */
  identify(authorization: string | undefined): Identified | Promise<Identified>;
};

const buyerPattern = /^[\x21-\x7e]{1,128}$/;
const tokenLengthMax = 4_096;
const cachedYoungMax = 10_000;

export function isBuyerName(text: string): boolean {
  return buyerPattern.test(text);
}

/** The token in `Bearer <token>`, or why there is none. */
export function bearerOf(authorization: string | undefined): string | CredentialRefusal {
  if (authorization === undefined) return refused.missing;
  if (authorization.length > tokenLengthMax) return refused.malformed;
  if (authorization.startsWith('Bearer ')) return authorization.slice(7);
  // Credentials of another scheme are none of ours.
  if (!/^bearer(?: |$)/i.test(authorization)) return refused.missing;
  return /^bearer ([^ ]+)$/i.exec(authorization)?.[1] ?? refused.malformed;
}

/**
 * Identifies buyers by their tokens. Under a shared secret each token is verified anew, which costs
 * about as much as caching it. Under public keys, valid tokens are cached until they expire; the cache
 * is bounded.
 */
export function openBuyers(rules: TokenRules, now: () => number = Date.now): Buyers {
  function unexpired(verified: Verified): Identified {
    if ('reason' in verified) return verified;
    return verified.expiresAt > now() ? verified.buyer : refused.expired;
  }

  if (rules.kind === 'secret') {
    const verify = secretVerifier(rules, now);
    return {
      identify(authorization) {
        const token = bearerOf(authorization);
        return typeof token === 'string' ? unexpired(verify(token)) : token;
      },
    };
  }

  const cache = openGenerationalCache<Bearer & { token: string }>({ youngMax: cachedYoungMax });
  const keySet = openKeySet({ ...rules, verifierOf: (key) => keyVerifier(rules, key) });

  /** `verified` is undefined when no key of the set has signed the token. */
  function keep(token: string, verified: Verified = refused.invalid): Identified {
    const identified = unexpired(verified);
    if ('buyer' in verified && typeof identified === 'string') {
      cache.set(cacheKey(token), { ...verified, token });
    }
    return identified;
  }

  return {
    identify(authorization) {
      const token = bearerOf(authorization);
      if (typeof token !== 'string') return token;
      if (!isTokenShaped(token)) return refused.malformed;
      const known = cache.get(cacheKey(token));
      if (known?.token === token) return unexpired(known);
      const found = keySet.verify(token);
      if (found instanceof Promise) return found.then((verified) => keep(token, verified));
      return keep(token, found);
    },
  };
}

/** The end of a token's signature: faster to look up than the whole, which is compared afterwards. */
function cacheKey(token: string): string {
  return token.slice(-32);
}

/** Verifies the signature and all claims that we use. */
function secretVerifier(rules: TokenRules & { kind: 'secret' }, now: () => number): Verify {
  const check = openHmacCheck(rules);
  const { issuer, audience } = rules;
  return (token) => {
    const claims = check(token);
    if (!claims) return isTokenShaped(token) ? refused.invalid : refused.malformed;
    const { iss, aud, nbf } = claims;
    if (issuer !== undefined && iss !== issuer) return refused.invalid;
    if (audience !== undefined && !isFor(aud, audience)) return refused.invalid;
    if (nbf !== undefined && !hasBegun(nbf, now())) return refused.early;
    return bearerFrom(claims);
  };
}

/** Whether `aud` (RFC 7519: a text or a list of texts) names the audience. */
function isFor(aud: unknown, audience: string): boolean {
  return aud === audience || (Array.isArray(aud) && aud.includes(audience));
}

/** Whether the time of `nbf`, in seconds, has come. */
function hasBegun(nbf: unknown, now: number): boolean {
  return typeof nbf === 'number' && nbf * 1_000 <= now;
}

function keyVerifier(rules: TokenRules, key: string): Verify {
  const { issuer, audience, algorithm } = rules;
  const verify = createVerifier({
    key,
    algorithms: [algorithm],
    requiredClaims: [
      ...(issuer === undefined ? [] : ['iss']),
      ...(audience === undefined ? [] : ['aud']),
    ],
    ...(issuer === undefined ? {} : { allowedIss: issuer }),
    ...(audience === undefined ? {} : { allowedAud: audience }),
  });
  return (token) => {
    try {
      const claims: unknown = verify(token);
      return isRecord(claims) ? bearerFrom(claims) : refused.invalid;
    } catch (error) {
      return refusalOf(error);
    }
  };
}

/** fast-jwt verifies the signature before the times. */
function refusalOf(error: unknown): CredentialRefusal {
  const code = error instanceof TokenError ? error.code : undefined;
  if (code === TokenError.codes.expired) return refused.expired;
  return code === TokenError.codes.inactive ? refused.early : refused.invalid;
}

function bearerFrom({ sub, exp }: Record<string, unknown>): Verified {
  if (typeof sub !== 'string' || !isBuyerName(sub)) return refused.invalid;
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return refused.invalid;
  return { buyer: sub, expiresAt: exp * 1_000 };
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
