import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Database, LedgerError } from '../../../src/ledger/database/database.ts';
import { openPglite } from '../../../src/ledger/database/pglite.ts';
import { openPostgres } from '../../../src/ledger/database/postgres.ts';
import { openLedger } from '../../../src/ledger/ledger.ts';
import { eventually } from '../../support/eventually.ts';
import { onEachLedger } from '../../support/ledgers.ts';
import { newDatabase, sharedPostgres } from '../../support/postgres.ts';

onEachLedger((ledger) => {
  const database = (): Database => ledger().database;

  describe('Transactions', () => {
    it('A transaction that throws writes nothing', async () => {
      await database().query('create table kept (id integer)');
      const work = database().transaction(async (query) => {
        await query('insert into kept values (1)');
        throw new Error('no');
      });
      await expect(work).rejects.toThrow('no');
      expect(await database().query('select * from kept')).toEqual([]);
    });

    it('A transaction sees nothing that others have not committed', async () => {
      await database().query('create table counted (n bigint)');
      await database().query('insert into counted values (0)');
      await Promise.all(
        Array.from({ length: 20 }, () =>
          database().transaction(async (query) => {
            const [row] = await query<{ n: number }>('select n from counted for update');
            await query('update counted set n = $1', [(row?.n ?? 0) + 1]);
          }),
        ),
      );
      expect(await database().query('select n from counted')).toEqual([{ n: 20 }]);
    });
  });

  it('A bigint is read as a number, or refused when a number cannot hold it', async () => {
    const of = (value: string) => database().query('select $1::bigint as value', [value]);
    expect(await of('9007199254740991')).toEqual([{ value: Number.MAX_SAFE_INTEGER }]);
    await expect(of('9007199254740993')).rejects.toThrow(/safe integer/);
    expect(await of('1')).toEqual([{ value: 1 }]); // the connection has not suffered
  });
});

describe('The embedded ledger', () => {
  const parent = mkdtempSync(join(tmpdir(), 'flashdrop-ledger-'));
  afterAll(() => rmSync(parent, { recursive: true, force: true }));

  it('The error of an embedded ledger that does not open says which folder and what to do', async () => {
    const folder = join(parent, 'ruined');
    await (await openPglite({ folder })).close();
    truncateSync(join(folder, 'global/pg_control'), 100);
    await expect(openPglite({ folder })).rejects.toThrow(
      `the ledger in ${folder} does not open: restore a copy of that folder, or move it away`,
    );
  });

  it('The error of an embedded ledger whose folder cannot be created says so', async () => {
    const file = join(parent, 'file');
    writeFileSync(file, '');
    const opened = openPglite({ folder: join(file, 'ledger') });
    await expect(opened).rejects.toThrow(LedgerError);
    await expect(opened).rejects.toThrow(/cannot be written: choose another one/);
  });

  it('An embedded ledger has every batch that it acknowledged after its process was killed', async () => {
    const folder = join(parent, 'killed');
    mkdirSync(folder);
    const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const acknowledged = await countLines(child, { killAt: 30 });
    const ledger = await openLedger({ folder });
    try {
      const [row] = await ledger.database.query<{ rows: number; batches: number }>(
        'select count(*) as rows, count(distinct batch) as batches from written',
      );
      expect(row?.batches).toBeGreaterThanOrEqual(acknowledged);
      expect(row?.rows).toBe((row?.batches ?? 0) * 100); // whole batches only
      expect(await ledger.accounts.trialBalance()).toMatchObject({ sum: 0, drifted: [] });
    } finally {
      await ledger.close();
    }
  });
});

const server = sharedPostgres();

describe.skipIf('missing' in server)('A PostgreSQL server', () => {
  let url: string;
  let database: Database;
  beforeAll(async () => {
    if ('missing' in server) throw new Error(`bug: ${server.missing}`);
    url = await newDatabase(server.url);
  });
  afterEach(() => database?.close());

  it('A transaction that PostgreSQL rolls back for a deadlock is run again', async () => {
    database = openPostgres({ url });
    await database.query('create table pair (id integer primary key, n integer)');
    await database.query('insert into pair values (1, 0), (2, 0)');
    let runs = 0;
    const both = Promise.withResolvers<void>();
    const cross = ([first, second]: [number, number]) =>
      database.transaction(async (query) => {
        runs += 1;
        await query('update pair set n = n + 1 where id = $1', [first]);
        if (runs === 2) both.resolve();
        await both.promise; // each holds one row and wants the other's
        await query('update pair set n = n + 1 where id = $1', [second]);
      });
    await Promise.all([cross([1, 2]), cross([2, 1])]);
    expect(runs).toBeGreaterThan(2);
    expect(await database.query('select n from pair')).toEqual([{ n: 2 }, { n: 2 }]);
  });

  it('A PostgreSQL server that drops every connection does not end the process', async () => {
    const broken: Error[] = [];
    database = openPostgres({ url, onIdleError: (error) => broken.push(error) });
    await Promise.all([database.query('select 1'), database.query('select 2')]);
    const killer = openPostgres({ url });
    try {
      await killer.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'flashdrop' and datname = current_database()
           and pid <> pg_backend_pid()`,
      );
    } finally {
      await killer.close();
    }
    await eventually(() => broken.length >= 1);
    await eventually(async () => (await database.query('select 3 as n')).length === 1);
  });

  it('A statement that would not end fails within the time limit', async () => {
    database = openPostgres({ url });
    const held = database.transaction(async (query) => {
      await query(`set local statement_timeout = '100ms'`);
      await query('select pg_sleep(60)');
    });
    await expect(held).rejects.toThrow(/statement timeout/);
    expect(await database.query('show statement_timeout')).toEqual([{ statement_timeout: '30s' }]);
  });
});

/** Counts a child's lines, kills it at one of them, and waits until it is gone. */
async function countLines(child: ChildProcess, { killAt }: { killAt: number }): Promise<number> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  let lines = 0;
  for await (const _ of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    lines += 1;
    if (lines === killAt) child.kill('SIGKILL');
  }
  await gone;
  expect(lines).toBeGreaterThanOrEqual(killAt);
  return lines;
}
