import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger };

/** The levels that the engine's code logs at. */
export type Log = Pick<Logger, 'info' | 'warn' | 'error'>;

/** Paths of fields that may hold tokens, keys, passwords or other secrets. */
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
  // An error of Redis carries the command that failed, AUTH with its password among them.
  .concat('err.command.args');

/** JSON lines on standard error; standard output is for what a user asked for. */
export function createLog(level: string, destination: DestinationStream = standardError()): Logger {
  const redact = { paths: secretPaths, censor: '[redacted]' };
  return pino({ level, base: null, redact }, destination);
}

function standardError(): DestinationStream {
  const output = pino.destination({ fd: 2, sync: true });
  // A terminal that has closed takes no more lines: the process still has to stop in good order.
  output.on('error', () => {});
  return output;
}
