import { inject } from 'vitest';
import { type PostgresServer, startPostgres as start, statement } from '../../loadtest/postgres.ts';

export { postgresMissing, statement } from '../../loadtest/postgres.ts';
export type TestPostgres = PostgresServer;

/** The server that all test files share, each with databases of its own; or why there is none. */
export function sharedPostgres(): { url: string } | { missing: string } {
  return inject('postgres');
}

/** Starts a PostgreSQL server for a test that stops it, on a free port, in a temporary folder, without fsync. */
export function startPostgres(): Promise<TestPostgres> {
  return start({ fsync: 'off', max_connections: '200' });
}

let databases = 0;

/**
 * Makes a fresh database on a server; gives its URL. Its planner uses indexes, as it would with a
 * million rows: scanning a test's small tables whole, it would take all locks in one order by accident.
 */
export async function newDatabase(server: string): Promise<string> {
  databases += 1;
  const name = `flashdrop_${process.pid}_${Date.now().toString(36)}_${databases}`;
  await statement(server, `create database ${name}`);
  for (const plan of ['hashjoin', 'mergejoin', 'seqscan']) {
    await statement(server, `alter database ${name} set enable_${plan} = off`);
  }
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

/** Removes a database, and ends the sessions that it still has. */
export async function dropDatabase(server: string, url: string): Promise<void> {
  await statement(server, `drop database ${new URL(url).pathname.slice(1)} with (force)`);
}
