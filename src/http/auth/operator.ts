import { hash, timingSafeEqual } from 'node:crypto';
import { bearerOf } from './buyers.ts';
import { type CredentialRefusal, refused } from './refused.ts';

/** Why a request is not the operator's; undefined when it carries the operator key, if one is set. */
export function refuseOperator(
  authorization: string | undefined,
  operatorKey: string | undefined,
): CredentialRefusal | undefined {
  const given = bearerOf(authorization);
  if (typeof given !== 'string') return given;
  if (operatorKey === undefined) return refused.unknownKey;
  // Digests have one length, and the time to compare them does not show where two keys differ.
  return timingSafeEqual(digestOf(given), digestOf(operatorKey)) ? undefined : refused.unknownKey;
}

const digestOf = (key: string) => hash('sha256', key, 'buffer');
