import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLedger } from '../../../src/ledger/ledger.ts';
import { startPooler } from '../../support/pooler.ts';
import {
  newDatabase,
  postgresMissing,
  startPostgres,
  statement,
  type TestPostgres,
} from '../../support/postgres.ts';

const missing = postgresMissing();
const title = 'The check of a PostgreSQL server at the start';

/** Opens the ledger as a start does: undefined when it opens, else the line that refuses it. */
async function refusalOf(databaseUrl: string): Promise<string | undefined> {
  try {
    await (await openLedger({ databaseUrl })).close();
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ name: 'LedgerError' });
    const { message } = error as Error;
    expect(message.split('\n')).toHaveLength(1);
    return message;
  }
}

function changed(url: string, change: (url: URL) => void): string {
  const parsed = new URL(url);
  change(parsed);
  return parsed.href;
}

describe.skipIf(missing !== undefined)(missing ? `${title} (not run: ${missing})` : title, () => {
  let postgres: TestPostgres;
  beforeAll(async () => {
    postgres = await startPostgres();
    await statement(postgres.url, `create role app login password 'pw'`);
  });
  afterAll(() => postgres?.stop());

  test('A database that would fail in use is refused at the start, in one line that says what to do', async () => {
    const { url } = postgres;
    await statement(
      url,
      `create database latin encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'`,
    );
    const named = (name: string) =>
      changed(url, (it) => {
        it.pathname = `/${name}`;
      });
    expect(await refusalOf(named('latin'))).toMatch(/encoding LATIN1: .*encoding 'UTF8'/);
    expect(await refusalOf(named('nowhere'))).toMatch(/no such database: create it.*3D000/);

    const own = await newDatabase(url);
    const name = new URL(own).pathname.slice(1);
    const asApp = changed(own, (it) => {
      it.username = 'app';
    });
    expect(await refusalOf(asApp)).toMatch(
      /may not create tables: grant create, usage on schema public/,
    );
    for (const [setting, value, refusal] of [
      ['default_transaction_read_only', 'on', /is read-only .*set it off/],
      ['synchronous_commit', 'off', /may lose what it has committed/],
      ['search_path', 'nowhere', /none of the schemas in its search_path exists/],
    ] as const) {
      await statement(url, `alter database ${name} set ${setting} = ${value}`);
      expect(await refusalOf(own)).toMatch(refusal);
      await statement(url, `alter database ${name} reset ${setting}`);
    }
    await statement(own, 'create table merchants (id integer)');
    expect(await refusalOf(own)).toMatch(/tables of another program: .*of its own/);
    expect(
      await refusalOf(changed(url, (it) => it.searchParams.set('sslmode', 'require'))),
    ).toMatch(/does not speak TLS: write sslmode=disable/);
  });

  test('A socket path with an empty host is taken', async () => {
    const own = new URL(await newDatabase(postgres.url));
    const url = `postgres://postgres@${own.pathname}?host=${postgres.folder}&port=${own.port}`;
    expect(await refusalOf(url)).toBeUndefined();
  });

  test('Behind a pooler that refuses start-up parameters and hands out another session for each transaction, the ledger works and no setting stays behind', async () => {
    const own = await newDatabase(postgres.url);
    const pooler = await startPooler(own);
    try {
      const ledger = await openLedger({ databaseUrl: pooler.url });
      const { database } = ledger;
      const seen = await database.transaction((query) =>
        query<{ jit: string; timeout: string }>(
          `select current_setting('jit') as jit, current_setting('statement_timeout') as timeout`,
        ),
      );
      expect(seen).toEqual([{ jit: 'off', timeout: '30s' }]);
      const { merchant } = await ledger.merchants.create({ name: 'A store' });
      const found = await Promise.all(
        Array.from({ length: 20 }, () => ledger.merchants.get(merchant.id)),
      );
      expect(found.map((one) => one?.name)).toEqual(found.map(() => 'A store'));
      const left = await database.query<{ timeout: string }>(
        `select current_setting('statement_timeout') as timeout`,
      );
      expect(left).toEqual([{ timeout: '0' }]);
      expect(pooler.refused()).toEqual([]);
      await ledger.close();
    } finally {
      await pooler.close();
    }
  });
});

describe('A server that is no PostgreSQL, or none', () => {
  let server: Server;
  let port: number;
  beforeAll(async () => {
    server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    port = typeof address === 'object' && address ? address.port : 0;
  });
  afterAll(() => void server.close());

  test('An address that is not PostgreSQL’s is refused in one line', async () => {
    expect(await refusalOf(`postgres://app@127.0.0.1:${port}/db`)).toMatch(
      /^PostgreSQL at 127\.0\.0\.1:\d+: it (refuses the connection|does not answer) .*check DATABASE_URL/,
    );
  });
});
