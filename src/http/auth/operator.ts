import { hash, timingSafeEqual } from 'node:crypto';
import { bearerOf } from './buyers.ts';

/** Whether a request carries the operator key; always false where no key is set. */
export function isOperator(
  authorization: string | undefined,
  operatorKey: string | undefined,
): boolean {
  const given = bearerOf(authorization);
  if (given === undefined || operatorKey === undefined) return false;
  // Digests have one length, and the time to compare them does not show where two keys differ.
  return timingSafeEqual(digestOf(given), digestOf(operatorKey));
}

const digestOf = (key: string) => hash('sha256', key, 'buffer');
