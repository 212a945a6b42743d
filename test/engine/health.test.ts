import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openHealth, openStoreCheck } from '../../src/engine/health.ts';
import type { Database } from '../../src/ledger/database/database.ts';
import { migrate } from '../../src/ledger/database/migrations.ts';
import { openPostgres } from '../../src/ledger/database/postgres.ts';
import { eventually } from '../support/eventually.ts';
import { newDatabase, sharedPostgres } from '../support/postgres.ts';
import { sharedRedisUrl } from '../support/redis.ts';

/** A check of a store that answers when the test says so, on a clock that the test moves. */
function openStage() {
  const writes: PromiseWithResolvers<unknown>[] = [];
  let at = 1_000_000;
  const ask = openStoreCheck({
    write() {
      const one = Promise.withResolvers<unknown>();
      writes.push(one);
      return one.promise;
    },
    isSilence: (error) => error === 'silence',
    now: () => at,
  });
  return {
    /** Asks; the store has answered, or not, by then. */
    async asked(answer?: (write: PromiseWithResolvers<unknown>) => void) {
      const told = ask();
      const newest = writes.at(-1);
      if (answer && newest) answer(newest);
      return await told;
    },
    pass: (ms: number) => {
      at += ms;
    },
    writes,
  };
}

const take = (write: PromiseWithResolvers<unknown>) => write.resolve('OK');
const refuse = (write: PromiseWithResolvers<unknown>) => write.reject(new Error('READONLY'));
const timeOut = (write: PromiseWithResolvers<unknown>) => write.reject('silence');

describe('A store that is asked whether it takes writes', () => {
  test('A store that is busy for less than 5 s takes writes, and the age of the last success tells that it is busy', async () => {
    const { asked, pass } = openStage();
    expect(await asked(take)).toEqual({ takesWrites: true, ageMs: 0 });
    pass(1_500);
    expect(await asked()).toEqual({ takesWrites: true, ageMs: 1_500 });
    pass(4_900);
    expect(await asked(timeOut)).toEqual({ takesWrites: true, ageMs: 6_400 });
    pass(50);
    expect(await asked(take)).toEqual({ takesWrites: true, ageMs: 0 });
  });

  test('A store without an answer for 5 s takes no writes, whether its writes hang or time out, until one succeeds', async () => {
    for (const end of [undefined, timeOut]) {
      const { asked, pass } = openStage();
      await asked(take);
      pass(60_000); // nobody asks: that is no silence
      expect(await asked(end)).toMatchObject({ takesWrites: true });
      pass(5_000);
      expect(await asked(end)).toMatchObject({ takesWrites: false });
      expect(await asked(take)).toEqual({ takesWrites: true, ageMs: 0 });
    }
  });

  test('A refused write shows at once, and stays until one succeeds, whatever a forgotten write says later', async () => {
    const { asked, pass, writes } = openStage();
    await asked(take);
    pass(1_000);
    expect(await asked(refuse)).toEqual({ takesWrites: false, ageMs: 1_000 });
    pass(1_000);
    expect(await asked()).toMatchObject({ takesWrites: false });
    pass(5_000);
    expect(await asked(take)).toEqual({ takesWrites: true, ageMs: 0 });
    writes.at(-2)?.reject(new Error('Query read timeout'));
    expect(await asked()).toMatchObject({ takesWrites: true });
  });
});

const server = sharedPostgres();
describe.skipIf('missing' in server)('A PostgreSQL server that is busy', () => {
  let database: Database;
  let redis: Redis;
  beforeAll(async () => {
    if ('missing' in server) return;
    database = openPostgres({ url: await newDatabase(server.url) });
    redis = new Redis(sharedRedisUrl());
    await migrate(database);
  });
  afterAll(async () => {
    redis?.disconnect();
    await database?.close();
  });

  test('While PostgreSQL keeps a write waiting, a process that was ready stays ready, and one that starts is not ready', async () => {
    const open = () => openHealth({ redis, namespace: 'health-test', ledger: { database } });
    const [health, starting] = [open(), open()];
    await health.ledger();
    await database.transaction(async (query) => {
      await query('lock table readiness in exclusive mode');
      expect(await health.ledger()).toEqual({ takesWrites: true, ageMs: expect.any(Number) });
      expect(await starting.ledger()).toEqual({ takesWrites: false, ageMs: undefined });
    });
    await eventually(async () => (await starting.ledger()).takesWrites);
  });
});
