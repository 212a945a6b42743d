import type { BuyerId } from '../../domain/ids.ts';
import { type CredentialRefusal, refused } from './refused.ts';

/** The buyer of a token, and until when the token is accepted, ms since the epoch. */
export type Bearer = { buyer: BuyerId; acceptedUntil: number };

/** How far the clock of the identity service may be from ours, either way. */
export const leewayMs = 10_000;

/** The end of the year 9999: a later time is a mistake, such as milliseconds in place of seconds. */
const secondsMax = 253_402_300_799;

const buyerPattern = /^[\x21-\x7e]{1,255}$/;

/** `sub` has 255 characters at most, as in OpenID Connect. */
export function isBuyerName(text: string): boolean {
  return buyerPattern.test(text);
}

/** Judges the claims of a token whose signature is right. */
export function judgeClaims(
  claims: Record<string, unknown>,
  { issuer, audience }: { issuer?: string; audience?: string },
  now: number,
): Bearer | CredentialRefusal {
  const { iss, aud, sub, exp, nbf = 0, iat = 0 } = claims;
  if (issuer !== undefined && iss !== issuer) return refused.invalid;
  if (audience !== undefined && !isFor(aud, audience)) return refused.invalid;
  if (typeof sub !== 'string' || !isBuyerName(sub)) return refused.subject;
  if (!isTime(exp) || !isTime(nbf) || !isTime(iat)) return refused.times;
  if (nbf * 1_000 > now + leewayMs) return refused.early;
  const acceptedUntil = exp * 1_000 + leewayMs;
  return acceptedUntil > now ? { buyer: sub, acceptedUntil } : refused.expired;
}

/** Whether `aud` (RFC 7519: a text or a list of texts) names the audience. */
function isFor(aud: unknown, audience: string): boolean {
  return aud === audience || (Array.isArray(aud) && aud.includes(audience));
}

/** A NumericDate of RFC 7519: seconds since the epoch, which may have a fraction. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= secondsMax;
}
