import { createSigner, createVerifier } from 'fast-jwt';
import type { BuyerId } from '../../domain/ids.ts';
import { openGenerationalCache } from '../request/generational-cache.ts';
import { isRecord } from '../request/record.ts';
import { type HmacAlgorithm, openHmacCheck } from './hmac.ts';
import { type KeyAlgorithm, openKeySet } from './jwks.ts';

/** How buyers' tokens are verified. Only `algorithm` is accepted, whatever a token's header says. */
export type TokenRules = { issuer?: string; audience?: string } & (
  | { kind: 'secret'; algorithm: HmacAlgorithm; secret: string }
  | { kind: 'jwks'; algorithm: KeyAlgorithm; url: string }
);

/** The buyer of a token, and when the token expires (ms since the epoch). */
type Bearer = { buyer: BuyerId; expiresAt: number };
type Verify = (token: string) => Bearer | undefined;

export type Buyers = {
  /**
   * The buyer whom an Authorization header identifies; undefined when the token is not valid. A promise
   * only while keys are fetched; it rejects with an Outage when they cannot be.
   */
  identify(authorization: string | undefined): string | undefined | Promise<string | undefined>;
};

const buyerPattern = /^[\x21-\x7e]{1,128}$/;
const tokenLengthMax = 4_096;
const cachedYoungMax = 10_000;

export function isBuyerName(text: string): boolean {
  return buyerPattern.test(text);
}

/** The token in `Bearer <token>`; undefined for anything else. */
export function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length > tokenLengthMax) return undefined;
  if (authorization.startsWith('Bearer ')) return authorization.slice(7);
  return /^bearer ([^ ]+)$/i.exec(authorization)?.[1];
}

/**
 * Identifies buyers by their tokens. Under a shared secret each token is verified anew, which costs
 * about as much as caching it. Under public keys, valid tokens are cached until they expire; the cache
 * is bounded.
 */
export function openBuyers(rules: TokenRules, now: () => number = Date.now): Buyers {
  const unexpired = (bearer: Bearer | undefined) =>
    bearer && bearer.expiresAt > now() ? bearer.buyer : undefined;

  if (rules.kind === 'secret') {
    const verify = secretVerifier(rules, now);
    return {
      identify(authorization) {
        const token = bearerOf(authorization);
        return token === undefined ? undefined : unexpired(verify(token));
      },
    };
  }

  const cache = openGenerationalCache<Bearer & { token: string }>({ youngMax: cachedYoungMax });
  const keySet = openKeySet({ ...rules, verifierOf: (key) => keyVerifier(rules, key) });

  function keep(token: string, bearer: Bearer | undefined): string | undefined {
    const buyer = unexpired(bearer);
    if (bearer && buyer !== undefined) cache.set(cacheKey(token), { ...bearer, token });
    return buyer;
  }

  return {
    identify(authorization) {
      const token = bearerOf(authorization);
      if (token === undefined) return undefined;
      const known = cache.get(cacheKey(token));
      if (known?.token === token) return unexpired(known);
      const found = keySet.verify(token);
      if (found instanceof Promise) return found.then((bearer) => keep(token, bearer));
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
    if (!claims) return undefined;
    const { iss, aud, nbf } = claims;
    if (issuer !== undefined && iss !== issuer) return undefined;
    if (audience !== undefined && !isFor(aud, audience)) return undefined;
    if (nbf !== undefined && !hasBegun(nbf, now())) return undefined;
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
      return isRecord(claims) ? bearerFrom(claims) : undefined;
    } catch {
      return undefined;
    }
  };
}

function bearerFrom({ sub, exp }: Record<string, unknown>): Bearer | undefined {
  if (typeof sub !== 'string' || !isBuyerName(sub)) return undefined;
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return undefined;
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
