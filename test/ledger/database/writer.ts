/** Writes batches to an embedded ledger, and a line for each one committed, until it is killed. */
import { openLedger } from '../../../src/ledger/ledger.ts';

const ledger = await openLedger({ folder: process.argv[2] });
await ledger.database.query('create table written (batch integer, n integer)');
for (let batch = 0; batch < 100_000; batch += 1) {
  await ledger.database.query(
    'insert into written select $1, n from generate_series(1, 100) as n',
    [batch],
  );
  await ledger.accounts.topUp({
    buyer: `buyer-${batch % 7}`,
    currency: 'CNY',
    amount: 100,
    reference: String(batch),
  });
  process.stdout.write(`${batch}\n`);
}
