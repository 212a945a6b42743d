import type { Logger } from 'pino';

/** What the settlement's parts say, to whoever listens. */
export type Log = Pick<Logger, 'info' | 'warn' | 'error'>;
