import { stringify } from 'csv-stringify/sync';
import { guardBuyer } from '../../domain/buyer-cell.ts';
import type { Drop } from '../../domain/drop.ts';
import type { MadeFor } from '../../ledger/appointments.ts';
import type { Receipt } from '../../ledger/orders.ts';
import type { Entry } from '../../ledger/wallet/entries.ts';
import { iso } from '../schemas/fields.ts';

const orderColumns = [
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
  'amountRefunded',
  'provider',
  'paymentReference',
  'providerReference',
];
const appointmentColumns = ['buyer', 'madeAt'];
const entryColumns = ['entry', 'at', 'kind', 'reference', 'amount', 'balance', 'currency'];
const chunkRows = 500;

/** A number may be negative; only a text that begins like a formula is escaped. */
type Cell = string | number;

/** Orders as RFC 4180 text. */
export function ordersCsv(drop: Drop, orders: AsyncIterable<Receipt>): AsyncGenerator<string> {
  const names = drop.fields?.map(({ name }) => name) ?? [];
  const columns = [...orderColumns, 'metadata', ...names.map((name) => `fields.${name}`)];
  return csv(columns, orders, (order) => {
    const { fields = {}, metadata } = order.details ?? {};
    const told = names.map((name) => fields[name] ?? '');
    return [...rowOf(order, drop), metadata ? JSON.stringify(metadata) : '', ...told];
  });
}

/** Appointments as RFC 4180 text: what the import takes as it is. */
export function appointmentsCsv(appointments: AsyncIterable<MadeFor>): AsyncGenerator<string> {
  return csv(appointmentColumns, appointments, ({ buyer, madeAt }) => {
    return [buyerCell(buyer), iso(madeAt)];
  });
}

/** `write` guards a name that begins like a formula; one that begins with an apostrophe needs it here. */
function buyerCell(buyer: string): string {
  return /^[=+\-@]/.test(buyer) ? buyer : guardBuyer(buyer);
}

/** Entries of a wallet as RFC 4180 text. */
export function statementCsv(
  currency: string,
  entries: AsyncIterable<Entry>,
): AsyncGenerator<string> {
  return csv(entryColumns, entries, ({ id, at, kind, reference, amount, balance }) => {
    return [id, iso(at), kind, reference, amount, balance, currency];
  });
}

/**
 * Writes rows in chunks, so that an export of any length is never whole in memory. A text that a
 * spreadsheet would run as a formula gets an apostrophe in front.
 */
async function* csv<T>(
  columns: string[],
  source: AsyncIterable<T>,
  cellsOf: (one: T) => Cell[],
): AsyncGenerator<string> {
  yield write([columns]);
  let rows: Cell[][] = [];
  for await (const one of source) {
    rows.push(cellsOf(one));
    if (rows.length >= chunkRows) {
      yield write(rows);
      rows = [];
    }
  }
  if (rows.length > 0) yield write(rows);
}

function rowOf(order: Receipt, drop: Drop): string[] {
  const { id, state, reason, buyer, item, quantity, amount, method, payment } = order;
  const { reservedAt, paidAt, releasedAt, refundedAt } = order;
  const sku = drop.items[item]?.sku ?? '';
  const times = [reservedAt, paidAt, releasedAt, refundedAt].map((at) => (at ? iso(at) : ''));
  return [
    id,
    state,
    reason,
    buyerCell(buyer),
    sku,
    `${quantity}`,
    `${amount}`,
    drop.currency,
    method,
    ...times,
    `${payment?.amountRefunded ?? 0}`,
    payment?.provider ?? '',
    payment?.reference ?? '',
    payment?.providerReference ?? '',
  ];
}

function write(rows: Cell[][]): string {
  return stringify(rows, {
    escape_formulas: true,
    record_delimiter: 'windows',
    // The library quotes the delimiter alone, and an address has single line feeds.
    quoted_match: /[\r\n]/,
  });
}
