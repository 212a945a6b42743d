import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { connectionSettings, type Database, parseBigint, type Query } from './database.ts';

/** SQLSTATEs after which the same transaction, run again from its start, can succeed. */
export const retryableCodes = ['40001', '40P01'] as const; // serialization failure, deadlock

const int8 = 20;
const attemptsMax = 5;
const limits = {
  max: 10,
  connectionTimeoutMillis: 5_000,
  idleTimeoutMillis: 30_000,
  statement_timeout: 30_000,
  lock_timeout: 10_000,
  idle_in_transaction_session_timeout: 30_000,
  query_timeout: 35_000,
};

/**
 * Opens a pool of connections to a PostgreSQL server. They are made when needed, so a server that is
 * down fails the first query, not this call.
 */
export function openPostgres(options: {
  url: string;
  connectionsMax?: number;
  /** Called for connections that broke while idle; the pool replaces them. */
  onIdleError?: (error: Error) => void;
}): Database {
  const pool = new pg.Pool({
    ...limits,
    max: options.connectionsMax ?? limits.max,
    connectionString: options.url,
    application_name: 'flashdrop',
    options: Object.entries(connectionSettings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
    types: {
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        oid === int8 ? parseBigint : pg.types.getTypeParser(oid, format as 'text'),
    } as pg.CustomTypesConfig,
  });
  // Without a listener, a server restart would end the process through an idle connection.
  pool.on('error', options.onIdleError ?? (() => {}));

  const poolQuery = queryOf(pool);

  async function attempt<T>(work: (query: Query) => Promise<T>): Promise<T> {
    const client = await pool.connect();
    // A connection that breaks between two statements also emits `error`; the next statement throws.
    const broken = () => {};
    client.on('error', broken);
    let failure: Error | undefined;
    try {
      await client.query('begin');
      const result = await work(queryOf(client));
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch((rollbackError: Error) => {
        failure = rollbackError;
      });
      throw error;
    } finally {
      client.off('error', broken);
      client.release(failure);
    }
  }

  return {
    kind: 'postgres',
    query: (sql, params) => retried(() => poolQuery(sql, params)),
    transaction: (work) => retried(() => attempt(work)),
    close: () => pool.end(),
  };
}

/**
 * Repeats work that the server rolled back for a deadlock or a conflict. The pauses grow and are random
 * from zero on, not in their upper half alone: transactions that met must not meet again.
 */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries >= attemptsMax || !isRetryable(error)) throw error;
      await wait(Math.random() * 10 * 2 ** tries);
    }
  }
}

function queryOf(runner: Pick<pg.Pool, 'query'> | Pick<pg.PoolClient, 'query'>): Query {
  return async <T>(sql: string, params: unknown[] = []) =>
    (await (runner as pg.Pool).query(sql, params)).rows as T[];
}

function isRetryable(error: unknown): boolean {
  if (!(error instanceof Error && 'code' in error)) return false;
  return retryableCodes.some((code) => code === error.code);
}
