import { isRedisError, unavailableCodes } from '../../inventory/redis-errors.ts';
import { LedgerError } from '../../ledger/database/database.ts';
import { hasSqlState, unavailableStates } from '../../ledger/database/postgres-errors.ts';

/** Thrown where something that this process depends on did not answer: the caller may try again. */
export class Outage extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Outage';
  }
}

const outageCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
const outageNames = new Set(['MaxRetriesPerRequestError', 'ClusterAllFailedError', 'AbortError']);
const outageMessages =
  /^Command timed out|^Connection is closed|^Stream isn't writeable|^Connection terminated|^Query read timeout|is not queryable$|timeout exceeded when trying to connect/;

/** True when Redis, the ledger or the key server did not answer; any other error is a bug. */
export function isOutage(error: unknown): boolean {
  if (error instanceof LedgerError || error instanceof Outage) return true;
  if (!(error instanceof Error)) return false;
  if ('code' in error && typeof error.code === 'string' && outageCodes.has(error.code)) return true;
  if (isRedisError(error, ...unavailableCodes)) return true;
  if (hasSqlState(error, ...unavailableStates)) return true;
  return outageNames.has(error.name) || outageMessages.test(error.message);
}
