import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger };

/** What a part of the engine may log through. */
export type Log = Pick<Logger, 'info' | 'warn' | 'error'>;

/** Where a log line could carry what must not be read there: tokens, keys, passwords, secrets. */
const secretPaths = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'token',
  'apiKey',
  'merchantKey',
  'operatorKey',
  'buyerToken',
  'redisUrl',
  'databaseUrl',
]
  .flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
  // An error of Redis carries the command that met it: also the one that logs in.
  .concat('err.command.args');

/** JSON lines on standard error, so that standard output keeps what a person asked for. */
export function createLog(
  level: string,
  destination: DestinationStream = pino.destination({ fd: 2, sync: true }),
): Logger {
  const redact = { paths: secretPaths, censor: '[redacted]' };
  return pino({ level, base: null, redact }, destination);
}
