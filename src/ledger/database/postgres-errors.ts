/**
 * SQLSTATEs that the program acts on:
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export const sqlStates = {
  serializationFailure: '40001',
  deadlock: '40P01',
  /** The session is on a standby, or its server was made read-only. */
  readOnly: '25006',
  tooManyConnections: '53300',
  diskFull: '53100',
  outOfMemory: '53200',
  connectionException: '08000',
  connectionNotMade: '08001',
  connectionDoesNotExist: '08003',
  connectionRejected: '08004',
  connectionFailure: '08006',
  /** PgBouncer's own errors have it, such as when it reaches no server. */
  protocolViolation: '08P01',
  /** Also by `statement_timeout`. */
  queryCanceled: '57014',
  /** By `lock_timeout`. */
  lockNotAvailable: '55P03',
  idleInTransactionTimeout: '25P03',
  adminShutdown: '57P01',
  crashShutdown: '57P02',
  /** The server starts up, shuts down, or is a standby without hot standby. */
  cannotConnectNow: '57P03',
  databaseDropped: '57P04',
  idleSessionTimeout: '57P05',
} as const;

export type SqlState = (typeof sqlStates)[keyof typeof sqlStates];

/** After these the same transaction, run again from its start, can succeed. */
export const retryableStates: readonly SqlState[] = [
  sqlStates.serializationFailure,
  sqlStates.deadlock,
];

/** After these the sessions that are open may all be at the wrong server: new ones find the right one. */
export const demotedStates: readonly SqlState[] = [
  sqlStates.readOnly,
  sqlStates.adminShutdown,
  sqlStates.crashShutdown,
  sqlStates.cannotConnectNow,
  sqlStates.databaseDropped,
];

/** With these the server cannot do now what it may do a moment later. */
export const unavailableStates: readonly SqlState[] = [
  sqlStates.connectionException,
  sqlStates.connectionDoesNotExist,
  sqlStates.connectionNotMade,
  sqlStates.connectionRejected,
  sqlStates.connectionFailure,
  sqlStates.protocolViolation,
  sqlStates.queryCanceled,
  sqlStates.lockNotAvailable,
  sqlStates.idleInTransactionTimeout,
  sqlStates.tooManyConnections,
  sqlStates.diskFull,
  sqlStates.outOfMemory,
  sqlStates.idleSessionTimeout,
  ...demotedStates,
];

/** Whether PostgreSQL answered with one of these SQLSTATEs. */
export function hasSqlState(error: unknown, ...states: readonly SqlState[]): boolean {
  if (!(error instanceof Error && 'code' in error)) return false;
  return states.some((state) => state === error.code);
}

/** Whether a pooler answered that it reaches no server, as PgBouncer does. */
export function isPoolerWithoutServer(error: unknown): boolean {
  return (
    error instanceof Error &&
    hasSqlState(error, sqlStates.protocolViolation) &&
    /cannot connect|server login|conn crashed/.test(error.message)
  );
}
