import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Statement } from '../../ledger/wallet/entries.ts';
import { iso } from '../schemas/fields.ts';
import { walletEntry } from '../schemas/orders.ts';
import { statementCsv } from './csv.ts';

/** Every entry of a wallet in one currency. */
export const statementBody = z.strictObject({
  currency: z.string(),
  entries: z.array(walletEntry).describe('Oldest first'),
  balance: walletEntry.shape.balance.describe('The sum of the entries'),
});

const chunkEntries = 500;

/** A statement as a file, sent in chunks, so that it is never whole in memory. */
export function statementFile(
  statement: Statement,
  options: { currency: string; format: 'json' | 'csv' },
): { type: string; name: string; body: Readable } {
  const { currency, format } = options;
  const text =
    format === 'csv'
      ? statementCsv(currency, statement.entries)
      : statementJson(currency, statement);
  const type =
    format === 'csv'
      ? 'text/csv; charset=utf-8; header=present'
      : 'application/json; charset=utf-8';
  return { type, name: `wallet-${currency}.${format}`, body: Readable.from(text) };
}

async function* statementJson(
  currency: string,
  { balance, entries }: Statement,
): AsyncGenerator<string> {
  yield `{"currency":${JSON.stringify(currency)},"entries":[`;
  let rows: string[] = [];
  let comma = '';
  for await (const entry of entries) {
    rows.push(JSON.stringify({ ...entry, at: iso(entry.at) }));
    if (rows.length >= chunkEntries) {
      yield comma + rows.join(',');
      comma = ',';
      rows = [];
    }
  }
  if (rows.length > 0) yield comma + rows.join(',');
  yield `],"balance":${balance}}`;
}
