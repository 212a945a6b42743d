import { createSigner, createVerifier } from 'fast-jwt';
import { openMemory } from '../request/generational-cache.ts';
import { type HmacAlgorithm, openHmacCheck } from './hmac.ts';
import { type KeyAlgorithm, openKeySet } from './jwks.ts';

/** How a buyer's token is judged. The algorithm is ours to name, whatever the token's header says. */
export type TokenRules = { issuer?: string; audience?: string } & (
  | { kind: 'secret'; algorithm: HmacAlgorithm; secret: string }
  | { kind: 'jwks'; algorithm: KeyAlgorithm; url: string }
);

/** A token's buyer, and when the token expires (ms since the epoch). */
type Bearer = { buyer: string; expiresAt: number };
type Verify = (token: string) => Bearer | undefined;

export type Buyers = {
  /**
   * The buyer whom an Authorization header stands for, undefined when it stands for none. A promise
   * only while keys are fetched; it rejects when they cannot be.
   */
  identify(authorization: string | undefined): string | undefined | Promise<string | undefined>;
};

const buyerPattern = /^[\x21-\x7e]{1,128}$/;
const tokenLengthMax = 4_096;
const rememberedYoungMax = 10_000;

export function isBuyerName(text: string): boolean {
  return buyerPattern.test(text);
}

/** The token within `Bearer <token>`, undefined for anything else. */
export function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length > tokenLengthMax) return undefined;
  if (authorization.startsWith('Bearer ')) return authorization.slice(7);
  return /^bearer ([^ ]+)$/i.exec(authorization)?.[1];
}

/**
 * Knows buyers by their tokens. Under a shared secret each token is checked anew, which costs about
 * as much as remembering it. Under public keys, tokens found good are remembered, bounded, until
 * they expire.
 */
export function openBuyers(rules: TokenRules, now: () => number = Date.now): Buyers {
  const living = (bearer: Bearer | undefined) =>
    bearer && bearer.expiresAt > now() ? bearer.buyer : undefined;

  if (rules.kind === 'secret') {
    const verify = secretVerifier(rules, now);
    return {
      identify(authorization) {
        const token = bearerOf(authorization);
        return token === undefined ? undefined : living(verify(token));
      },
    };
  }

  const remembered = openMemory<Bearer & { token: string }>({ youngMax: rememberedYoungMax });
  const keySet = openKeySet({ ...rules, verifierOf: (key) => keyVerifier(rules, key) });

  function remember(token: string, bearer: Bearer | undefined): string | undefined {
    const buyer = living(bearer);
    if (bearer && buyer !== undefined) remembered.set(nameOf(token), { ...bearer, token });
    return buyer;
  }

  return {
    identify(authorization) {
      const token = bearerOf(authorization);
      if (token === undefined) return undefined;
      const known = remembered.get(nameOf(token));
      if (known?.token === token) return living(known);
      const found = keySet.verify(token);
      if (found instanceof Promise) return found.then((bearer) => remember(token, bearer));
      return remember(token, found);
    },
  };
}

/** A token's end, its signature, finds it faster than the whole, which is compared all the same. */
function nameOf(token: string): string {
  return token.slice(-32);
}

/** Claims under a shared secret: all are judged here, the signature is the only other thing. */
function secretVerifier(rules: TokenRules & { kind: 'secret' }, now: () => number): Verify {
  const check = openHmacCheck(rules);
  const { issuer, audience } = rules;
  return (token) => {
    const claims = check(token);
    if (!claims) return undefined;
    const { iss, aud, nbf } = claims;
    if (issuer !== undefined && iss !== issuer) return undefined;
    const meant = audience === undefined || aud === audience;
    if (!meant && !(Array.isArray(aud) && aud.includes(audience))) return undefined;
    if (nbf !== undefined && !(typeof nbf === 'number' && nbf * 1_000 <= now())) return undefined;
    return bearer(claims);
  };
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
      return bearer(verify(token) as Record<string, unknown>);
    } catch {
      return undefined;
    }
  };
}

function bearer({ sub, exp }: Record<string, unknown>): Bearer | undefined {
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
  return (buyer: string, lifetimeMs = lifetimeMsDefault): string =>
    sign({ sub: buyer, exp: Math.floor((now() + lifetimeMs) / 1_000) });
}
