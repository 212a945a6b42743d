import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { readStoreAddress } from '../../config/tls.ts';
import { required } from '../../domain/required.ts';
import { connectionSettings, type Database, parseBigint, type Query } from './database.ts';
import { demotedStates, hasSqlState, retryableStates } from './postgres-errors.ts';

const int8 = 20;
const attemptsMax = 5;
const limits = {
  max: 10,
  connectionTimeoutMillis: 5_000,
  idleTimeoutMillis: 30_000,
};
/** Longer than the server's own bound, so that the server says why it ends a statement. */
const answerMsMax = 35_000;

/**
 * Set by statements, since poolers such as PgBouncer refuse all but a few parameters of the start-up
 * message.
 */
const sessionSettings = Object.entries({
  ...connectionSettings,
  statement_timeout: '30s',
  lock_timeout: '10s',
  idle_in_transaction_session_timeout: '30s',
});
const setForSession = sessionSettings.map(([name, value]) => `set ${name} = '${value}'`).join('; ');
const beginWithSettings = ['begin', ...sessionSettings.map(([n, v]) => `set local ${n} = '${v}'`)];

/** While the server refuses writes, sessions are replaced this often, and serve reads between. */
const replaceEveryMs = 1_000;

/**
 * Opens a pool of connections to a PostgreSQL server or a pooler before one. They are made when needed,
 * so a server that is down fails the first query, not this call. When the server says that it is
 * read-only or ends, the sessions that are open are replaced: the address may lead to another by now.
 */
export function openPostgres(options: {
  url: string;
  connectionsMax?: number;
  /** When a statement without an answer is given up, ms; for statements that set a longer `statement_timeout`. */
  answerMsMax?: number;
  /** Called for connections that broke while idle; the pool replaces them. */
  onIdleError?: (error: Error) => void;
}): Database {
  const sessions = new WeakMap<pg.ClientBase, Session>();
  let replacedAt = Number.NEGATIVE_INFINITY;
  const { url, tls } = readStoreAddress(options.url);
  const pool = new pg.Pool({
    ...limits,
    max: options.connectionsMax ?? limits.max,
    query_timeout: options.answerMsMax ?? answerMsMax,
    connectionString: url,
    ssl: tls ?? false,
    application_name: 'flashdrop',
    types: {
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        oid === int8 ? parseBigint : pg.types.getTypeParser(oid, format as 'text'),
    } as pg.CustomTypesConfig,
    async onConnect(client) {
      sessions.set(client, await openSession(client));
    },
  });
  // Without a listener, a server restart would end the process through an idle connection.
  pool.on('error', options.onIdleError ?? (() => {}));

  /** Runs work on a connection; one whose `work` throws is closed unless `isReusable`. */
  async function withClient<T>(
    work: (client: pg.PoolClient, session: Session) => Promise<T>,
    isReusable: (error: unknown) => boolean = () => false,
  ): Promise<T> {
    const { client, session } = await takeClient();
    // A connection that breaks between two statements also emits `error`; the next statement throws.
    const broken = () => {};
    client.on('error', broken);
    let close = false;
    try {
      return await work(client, session);
    } catch (error) {
      const isDemoted = hasSqlState(error, ...demotedStates);
      close = isDemoted || !isReusable(error);
      if (isDemoted && performance.now() - replacedAt >= replaceEveryMs) {
        replacedAt = performance.now();
      }
      throw error;
    } finally {
      client.off('error', broken);
      client.release(close);
    }
  }

  async function takeClient(): Promise<{ client: pg.PoolClient; session: Session }> {
    for (;;) {
      const client = await pool.connect();
      const session = required(sessions.get(client), 'session of a connection');
      if (session.since > replacedAt) return { client, session };
      client.release(true);
    }
  }

  async function attempt<T>(work: (query: Query) => Promise<T>): Promise<T> {
    let rolledBack = false;
    return await withClient(
      async (client, session) => {
        try {
          await client.query(session.begin);
          const result = await work(queryOf(client));
          await client.query('commit');
          return result;
        } catch (error) {
          rolledBack = await client.query('rollback').then(
            () => true,
            () => false,
          );
          throw error;
        }
      },
      () => rolledBack,
    );
  }

  return {
    kind: 'postgres',
    query: (sql, params) => retried(() => withClient((client) => queryOf(client)(sql, params))),
    transaction: (work) => retried(() => attempt(work)),
    close: () => pool.end(),
  };
}

/** When a connection was opened, on the monotonic clock, and how a transaction begins on it. */
type Session = { since: number; begin: string };

/**
 * Applies our settings to a new connection. Behind a pooler the session may be another client's at the
 * next transaction, so there each transaction sets them for itself. A pooler is known by its number for
 * the connection, which is not the pid of the server's process.
 */
async function openSession(client: pg.ClientBase): Promise<Session> {
  const since = performance.now();
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const announced = 'processID' in client ? client.processID : undefined;
  if (rows[0]?.pid !== announced) {
    return { since, begin: beginWithSettings.join('; ') };
  }
  await client.query(setForSession);
  return { since, begin: 'begin' };
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
      if (tries >= attemptsMax || !hasSqlState(error, ...retryableStates)) throw error;
      await wait(Math.random() * 10 * 2 ** tries);
    }
  }
}

function queryOf(client: pg.PoolClient): Query {
  return async <T>(sql: string, params: unknown[] = []) =>
    (await client.query(sql, params)).rows as T[];
}
