import { explainTls } from '../config/tls.ts';

/** Replies and errors of a connection that no waiting changes, with what to do. */
const refusals: [pattern: RegExp, explanation: string][] = [
  [/WRONGPASS|invalid password/, 'it refuses the user or the password of REDIS_URL: correct them'],
  [/NOAUTH/, 'it asks for a password: write redis://USER:PASSWORD@host:port into REDIS_URL'],
  [/NOPERM/, 'its user may not connect with INFO and SELECT: allow them with ACL SETUSER'],
  [
    /DB index|DB number|SELECT is not allowed/,
    'it does not have the database at the end of REDIS_URL: write a lower number, or none',
  ],
  [/DENIED Redis is running in protected mode/, 'it is in protected mode: give it a password'],
  [/Protocol error/, 'what answers there is not Redis: correct the address in REDIS_URL'],
];

/**
 * What is wrong with a connection to Redis and what to write, for an error that comes back however often
 * the connection is tried again; undefined for any other error.
 */
export function explainRefusal(error: Error): string | undefined {
  const known = refusals.find(([pattern]) => pattern.test(error.message));
  return known?.[1] ?? explainTls(error);
}
