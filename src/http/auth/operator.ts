import { hash, timingSafeEqual } from 'node:crypto';
import { bearerOf } from './buyers.ts';

/** Whether a request carries the operator's key; nobody is one where there is none. */
export function isOperator(
  authorization: string | undefined,
  operatorKey: string | undefined,
): boolean {
  const given = bearerOf(authorization);
  if (given === undefined || operatorKey === undefined) return false;
  // Digests have one length, and comparing them tells nothing of where two keys differ.
  return timingSafeEqual(digestOf(given), digestOf(operatorKey));
}

const digestOf = (key: string) => hash('sha256', key, 'buffer');
