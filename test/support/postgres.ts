import { type PostgresServer, startPostgres as start, statement } from '../../loadtest/postgres.ts';

export { postgresMissing } from '../../loadtest/postgres.ts';
export type TestPostgres = PostgresServer;

/** Starts a private PostgreSQL on a free port, in a temporary folder, without fsync. */
export function startPostgres(): Promise<TestPostgres> {
  return start({ fsync: 'off', max_connections: '200' });
}

let databases = 0;

/**
 * Makes a fresh database on a server; gives its URL. It joins as it would with a million rows: by
 * scanning a test's small tables whole, it would take every lock in one order by accident.
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
