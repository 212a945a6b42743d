import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import type { Database } from '../../../src/ledger/database/database.ts';
import { migrate, readMigrations } from '../../../src/ledger/database/migrations.ts';
import { openPglite } from '../../../src/ledger/database/pglite.ts';
import { openPostgres } from '../../../src/ledger/database/postgres.ts';
import { openLedger } from '../../../src/ledger/ledger.ts';
import { onEachLedger } from '../../support/ledgers.ts';
import { newDatabase, sharedPostgres } from '../../support/postgres.ts';

const known = readMigrations();
/** The migrations that a ledger has whose last one is this. */
function upTo(name: string) {
  const at = known.findIndex((one) => one.name === name);
  if (at < 0) throw new Error(`there is no sql/${name}`);
  return known.slice(0, at + 1);
}

const next = {
  number: known.length + 1,
  name: 'next.sql',
  sql: 'create table next_one (id integer); create table next_two (id integer);',
  sha256: 'next',
};

onEachLedger((ledger) => {
  const database = (): Database => ledger().database;

  describe('The schema', () => {
    it('A schema that is up to date is left as it is', async () => {
      expect(await migrate(database())).toBe(0);
    });

    it('A schema with an applied file that has changed is refused, and the error names the file', async () => {
      const changed = known.map((one, n) => (n === 1 ? { ...one, sha256: 'other' } : one));
      await expect(migrate(database(), changed)).rejects.toThrow(
        /^sql\/0002_drops\.sql differs from the file the ledger was made with: restore it/,
      );
    });

    it('A schema newer than the program is refused', async () => {
      await expect(migrate(database(), known.slice(0, 2))).rejects.toThrow(
        `written by a newer flashdrop (it has ${known.at(-1)?.name}): start that version`,
      );
    });

    it('A migration that fails half-way leaves the schema as it was', async () => {
      const broken = { ...next, sql: `${next.sql} create table next_two (id integer);` };
      await expect(migrate(database(), [...known, broken])).rejects.toThrow(/next_two/);
      const tables = await database().query(
        `select table_name from information_schema.tables where table_name like 'next%'`,
      );
      expect(tables).toEqual([]);
    });

    it('A schema is migrated once by processes that start together', async () => {
      const counts = await Promise.all(
        Array.from({ length: 6 }, () => migrate(database(), [...known, next])),
      );
      expect(counts.reduce((sum, count) => sum + count)).toBe(1);
      await expect(migrate(database())).rejects.toThrow(/newer flashdrop/);
    });
  });
});

it('An empty database is migrated once by programs that start together', async () => {
  const database = await openPglite();
  try {
    const counts = await Promise.all([migrate(database), migrate(database), migrate(database)]);
    expect(counts.reduce((sum, count) => sum + count)).toBe(known.length);
  } finally {
    await database.close();
  }
});

it('A server that is down causes an error, not a crash or a hang', async () => {
  const database = openPostgres({ url: 'postgres://nobody@127.0.0.1:1/nothing' });
  try {
    await expect(migrate(database)).rejects.toThrow(/ECONNREFUSED/);
  } finally {
    await database.close();
  }
});

const server = sharedPostgres();
describe.skipIf('missing' in server)('On a PostgreSQL server', () => {
  it('An index that an operator makes before an upgrade, as the manual says, is taken as it is, and the upgrade builds none', async () => {
    if ('missing' in server) return;
    const database = openPostgres({ url: await newDatabase(server.url) });
    try {
      const page = readFileSync('docs/operations.md', 'utf8');
      const [, first = ''] = /from `sql\/(\w+\.sql)` on/.exec(page) ?? [];
      await migrate(database, upTo(first));
      const [, sql = ''] =
        /```sql\n(create or replace function metadata_keys[^`]*)```/.exec(page) ?? [];
      for (const statement of sql.split(';').filter((text) => text.trim() !== '')) {
        await database.query(statement);
      }
      const indexes = `select oid from pg_class where relname = 'orders_by_metadata'`;
      const before = await database.query(indexes);
      expect(before).toHaveLength(1);
      expect(await migrate(database)).toBe(known.length - upTo(first).length);
      expect(await database.query(indexes)).toEqual(before);
    } finally {
      await database.close();
    }
  });

  it('A ledger of 0.1.0 is upgraded with its orders, and nothing has to be made before', async () => {
    if ('missing' in server) return;
    const database = openPostgres({ url: await newDatabase(server.url) });
    try {
      const released = upTo('0004_money.sql');
      await migrate(database, released);
      await database.query(`insert into orders (id, drop_id, lane, buyer, item, quantity, amount,
          method, state, reason, version, expires_at, reserved_at)
        values ('ord_1', 'drop_1', 0, 'ann', 0, 1, 1, 'wallet', 'paid', '', 1, 1, 1)`);
      expect(await migrate(database)).toBe(known.length - released.length);
      const orders = await database.query('select id, state, details from orders');
      expect(orders).toEqual([{ id: 'ord_1', state: 'paid', details: null }]);
      const index = `select reltuples::int as entries from pg_class where relname = 'orders_by_metadata'`;
      expect(await database.query(index)).toEqual([{ entries: 0 }]);
    } finally {
      await database.close();
    }
  });

  it('A start waits for a migration that takes half an hour, longer than any other statement may take, and says so in one line', async () => {
    if ('missing' in server) return;
    const url = await newDatabase(server.url);
    const other = openPostgres({ url });
    await migrate(other);
    const onWait = vi.fn();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      let opened: ReturnType<typeof openLedger> | undefined;
      await other.transaction(async (query) => {
        await query('select pg_advisory_xact_lock(7203551)'); // as a migration does
        opened = openLedger({ databaseUrl: url, onWait });
        const waiting = `select 1 from pg_locks where locktype = 'advisory' and not granted
          and database = (select oid from pg_database where datname = current_database())`;
        while ((await query(waiting)).length === 0);
        await vi.advanceTimersByTimeAsync(29 * 60_000);
      });
      await (await opened)?.close();
      expect(opened).toBeDefined();
      expect(onWait.mock.calls).toEqual([[expect.stringMatching(/ledger up to date.*minutes/)]]);
    } finally {
      vi.useRealTimers();
      await other.close();
    }
  });
});
