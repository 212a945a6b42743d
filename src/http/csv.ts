import { stringify } from 'csv-stringify/sync';
import type { Drop } from '../domain/drop.ts';
import type { LedgerOrder } from '../ledger/orders.ts';
import { iso } from './schemas/fields.ts';

const columns = [
  'order',
  'state',
  'reason',
  'buyer',
  'sku',
  'quantity',
  'amount',
  'currency',
  'method',
  'reservedAt',
  'paidAt',
  'releasedAt',
  'refundedAt',
];
const chunkRows = 500;

/**
 * Orders as RFC 4180 text, in chunks, so that an export of any length is never whole in memory. A
 * field that a spreadsheet would run as a formula gets an apostrophe in front.
 */
export async function* ordersCsv(
  drop: Drop,
  orders: AsyncIterable<LedgerOrder>,
): AsyncGenerator<string> {
  yield write([columns]);
  let rows: string[][] = [];
  for await (const order of orders) {
    rows.push(rowOf(order, drop));
    if (rows.length >= chunkRows) {
      yield write(rows);
      rows = [];
    }
  }
  if (rows.length > 0) yield write(rows);
}

function rowOf(order: LedgerOrder, drop: Drop): string[] {
  const { id, state, reason, buyer, item, quantity, amount, method } = order;
  const { reservedAt, paidAt, releasedAt, refundedAt } = order;
  const sku = drop.items[item]?.sku ?? '';
  const times = [reservedAt, paidAt, releasedAt, refundedAt].map((at) => (at ? iso(at) : ''));
  return [
    id,
    state,
    reason,
    buyer,
    sku,
    `${quantity}`,
    `${amount}`,
    drop.currency,
    method,
    ...times,
  ];
}

function write(rows: string[][]): string {
  return stringify(rows, { escape_formulas: true, record_delimiter: 'windows' });
}
