import { afterAll, beforeAll, describe } from 'vitest';
import { type Ledger, openLedger } from '../../src/ledger/ledger.ts';
import { newDatabase, postgresMissing, startPostgres } from './postgres.ts';
import { openTestLedger } from './test-ledger.ts';

/** A server to use instead of starting one. */
const given = process.env['FLASHDROP_TEST_POSTGRES_URL'];

/**
 * Runs the same tests on PGlite and on a PostgreSQL server, each with a fresh ledger. Where no
 * server can be had, that half is skipped, and its title says why.
 */
export function onEachLedger(tests: (ledger: () => Ledger) => void): void {
  describe('on PGlite', () => {
    let ledger: Ledger;
    beforeAll(async () => {
      ledger = await openTestLedger();
    });
    afterAll(() => ledger?.close());
    tests(() => ledger);
  });
  const missing = given ? undefined : postgresMissing();
  if (missing !== undefined) {
    describe.skip(`on PostgreSQL (not run: ${missing})`, () => tests(never));
    return;
  }
  describe('on PostgreSQL', () => {
    let ledger: Ledger;
    const close: (() => Promise<void>)[] = [];
    beforeAll(async () => {
      const server = given ? { url: given, stop: async () => {} } : await startPostgres();
      close.push(server.stop);
      ledger = await openLedger({ databaseUrl: await newDatabase(server.url) });
      close.push(ledger.close);
    });
    afterAll(async () => {
      for (const end of close.reverse()) await end();
    });
    tests(() => ledger);
  });
}

function never(): never {
  throw new Error('bug: a skipped test ran');
}
