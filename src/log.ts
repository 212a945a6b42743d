import { type Logger, pino } from 'pino';

export type { Logger };

/** Where a log line could carry what must not be read there: tokens, keys, passwords, secrets. */
const secretPaths = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'token',
  'apiKey',
  'merchantKey',
  'buyerToken',
  'redisUrl',
  'databaseUrl',
].flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/** JSON lines on standard error, so that standard output keeps what a person asked for. */
export function createLog(level: string): Logger {
  return pino(
    { level, base: null, redact: { paths: secretPaths, censor: '[redacted]' } },
    pino.destination({ fd: 2, sync: true }),
  );
}
