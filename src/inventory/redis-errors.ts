/**
 * Codes that Redis begins its error replies with:
 * https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
 */
export const redisErrorCodes = {
  /** Over `maxmemory`, and the command could need more. */
  outOfMemory: 'OOM',
  /** The append-only file or a snapshot cannot be written. */
  cannotPersist: 'MISCONF',
  readOnlyReplica: 'READONLY',
  /** The append-only file is still being read after a start. */
  loading: 'LOADING',
  /** A script has been running for too long. */
  busy: 'BUSY',
  masterDown: 'MASTERDOWN',
  clusterDown: 'CLUSTERDOWN',
  /** Keys of one slot are being moved to another node. */
  tryAgain: 'TRYAGAIN',
  /** Fewer replicas are connected than `min-replicas-to-write`. */
  tooFewReplicas: 'NOREPLICAS',
  /** A command that was blocking ended because its server became a replica. */
  unblocked: 'UNBLOCKED',
  /** The server does not have the script of this digest. */
  noScript: 'NOSCRIPT',
  /** A consumer group does not exist. */
  noGroup: 'NOGROUP',
  /** A consumer group exists already. */
  groupExists: 'BUSYGROUP',
  /** A key holds another type than the command is for. */
  wrongType: 'WRONGTYPE',
} as const;

export type RedisErrorCode = (typeof redisErrorCodes)[keyof typeof redisErrorCodes];

/** With these the server refused a command before it did anything, and may take it a moment later. */
export const unavailableCodes: readonly RedisErrorCode[] = [
  redisErrorCodes.outOfMemory,
  redisErrorCodes.cannotPersist,
  redisErrorCodes.readOnlyReplica,
  redisErrorCodes.loading,
  redisErrorCodes.busy,
  redisErrorCodes.masterDown,
  redisErrorCodes.clusterDown,
  redisErrorCodes.tryAgain,
  redisErrorCodes.tooFewReplicas,
  redisErrorCodes.unblocked,
];

/**
 * With these the server may not be the master any more, or was cut off from it, while its address may
 * lead to another one by now: only a new connection finds out.
 */
export const demotedCodes: readonly RedisErrorCode[] = [
  redisErrorCodes.readOnlyReplica,
  redisErrorCodes.unblocked,
  redisErrorCodes.loading,
  redisErrorCodes.masterDown,
  redisErrorCodes.clusterDown,
  redisErrorCodes.tooFewReplicas,
];

/** Whether Redis answered with one of these codes, as against an answer that was lost or came late. */
export function isRedisError(error: unknown, ...codes: readonly RedisErrorCode[]): boolean {
  if (!isRedisReply(error)) return false;
  const [code] = error.message.split(' ', 1);
  return codes.some((one) => one === code);
}

/** Whether Redis refused a command for want of memory, also from within a script of a library. */
export function isOutOfMemory(error: unknown): boolean {
  if (isRedisError(error, redisErrorCodes.outOfMemory)) return true;
  return error instanceof Error && /\bOOM command not allowed/.test(error.message);
}

/**
 * Whether an error says that the keys of a lane are not what a lane's keys are: a key of another type, a
 * text that is no record, or a script that failed over one. Repeating the call does not help, and other
 * lanes are not concerned. Any other error, such as a refusal of our user, is about all of Redis.
 */
export function isOfLane(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.message.startsWith('bug: ')) return true;
  if (!isRedisReply(error)) return false;
  return isRedisError(error, redisErrorCodes.wrongType) || scriptFailed.test(error.message);
}

/** A script's own error, as against one of a command that it called. */
const scriptFailed = /^ERR user_script:/;

/** Whether an error is Redis' own answer to a command. */
export function isRedisReply(error: unknown): error is Error & { name: 'ReplyError' } {
  return error instanceof Error && error.name === 'ReplyError';
}

/** Whether a command got no answer within the time-out of its connection. */
export function isCommandTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Command timed out';
}
