import { afterAll, beforeAll, describe } from 'vitest';
import { type Ledger, openLedger } from '../../src/ledger/ledger.ts';
import { newDatabase, sharedPostgres } from './postgres.ts';
import { openTestLedger } from './test-ledger.ts';

/**
 * Runs the same tests on PGlite and on a PostgreSQL server, each with a fresh ledger. Where there is
 * no server, that half is skipped, and its title says why.
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
  const server = sharedPostgres();
  if ('missing' in server) {
    describe.skip(`on PostgreSQL (not run: ${server.missing})`, () => tests(never));
    return;
  }
  describe('on PostgreSQL', () => {
    let ledger: Ledger;
    beforeAll(async () => {
      ledger = await openLedger({ databaseUrl: await newDatabase(server.url) });
    });
    afterAll(() => ledger?.close());
    tests(() => ledger);
  });
}

function never(): never {
  throw new Error('bug: a skipped test ran');
}
