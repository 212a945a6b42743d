import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database, Query } from '../../../src/ledger/database/database.ts';
import { openPglite } from '../../../src/ledger/database/pglite.ts';
import {
  type AskDatabase,
  openSharedDatabase,
  shareDatabase,
} from '../../../src/ledger/database/shared-database.ts';
import { eventually } from '../../support/eventually.ts';

let database: Database;
beforeAll(async () => {
  database = await openPglite();
  await database.query('create table kept (n bigint)');
});
afterAll(() => database?.close());
beforeEach(() => database.query('delete from kept'));

/** Another process' view of the database; nothing but copies goes between the two. */
function share(options?: { idleMsMax: number }) {
  const shared = shareDatabase(database, options);
  const handlers = shared.handlers as Record<string, (payload: unknown) => unknown>;
  const ask: AskDatabase = async (topic, payload) =>
    structuredClone(await handlers[topic]?.(structuredClone(payload))) as never;
  return { other: openSharedDatabase('pglite', ask), end: shared.close };
}

const kept = async (query: Query = database.query) =>
  (await query<{ n: number }>('select n from kept order by n')).map(({ n }) => n);

/** A transaction that has written and now waits to be told how to end. */
async function standing(other: Database) {
  const end = Promise.withResolvers<void>();
  const written = Promise.withResolvers<void>();
  const work = other.transaction(async (query) => {
    await query('insert into kept values (1)');
    written.resolve();
    await end.promise;
    await query('insert into kept values (2)');
  });
  const outcome = work.then(
    () => 'committed',
    (error: Error) => error.message,
  );
  await written.promise;
  return { end, outcome };
}

describe('A database shared with another process', () => {
  test('A shared database commits a transaction, and nothing of one that threw', async () => {
    const { other } = share();
    const counted = await other.transaction(async (query) => {
      await query('insert into kept values ($1)', [Number.MAX_SAFE_INTEGER]);
      return await kept(query);
    });
    expect(counted).toEqual([Number.MAX_SAFE_INTEGER]);
    const failing = other.transaction(async (query) => {
      await query('insert into kept values (2)');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await kept(other.query)).toEqual([Number.MAX_SAFE_INTEGER]);
  });

  test('A shared database runs no other statement between those of a transaction', async () => {
    const [{ other: one }, { other: two }] = [share(), share()];
    const add = (to: Database) =>
      to.transaction(async (query) => {
        const [row] = await query<{ n: number }>('select count(*)::bigint as n from kept');
        await query('insert into kept values ($1)', [row?.n]);
      });
    await Promise.all(
      Array.from({ length: 30 }, (_, n) => add([one, two, database][n % 3] as Database)),
    );
    expect(await kept()).toEqual(Array.from({ length: 30 }, (_, n) => n));
  });

  test('A shared database rolls back the running and waiting transactions of a process that dies', async () => {
    const { other, end } = share({ idleMsMax: 60_000 }); // Not the idle limit's doing.
    const first = await standing(other);
    const second = other.transaction((query) => query('insert into kept values (3)'));
    second.catch(() => {});
    end();
    expect(await kept()).toEqual([]);
    first.end.resolve();
    expect(await first.outcome).toMatch(/over/);
    await expect(second).rejects.toThrow(/gone/);
    expect(await kept()).toEqual([]);
  });

  test('A shared database is not blocked for ever by a process that stands still', async () => {
    const { other } = share({ idleMsMax: 20 });
    const { end, outcome } = await standing(other);
    expect(await eventually(async () => (await kept()).length === 0)).toBe(true);
    end.resolve();
    expect(await outcome).toMatch(/over/);
    await other.transaction((query) => query('insert into kept values (4)'));
    expect(await kept()).toEqual([4]);
  });
});
