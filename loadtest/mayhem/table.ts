import type { Evidence } from './evidence.ts';
import type { Judgement } from './judge.ts';
import { type Method, methods } from './plan.ts';

/** The result of a run for one provider. Money in minor units. */
export type Row = {
  provider: Method;
  /** Of the orders that were bought with it. */
  paid: number;
  released: number;
  refunded: number;
  /** By its own book. */
  captures: number;
  captured: number;
  returned: number;
  kept: number;
  /** What is due for the paid orders that the ledger has as captured by this provider. */
  due: number;
  sent: number;
  lost: number;
  repeats: number;
  forged: number;
};

export function rowsOf(evidence: Evidence, { money, due }: Judgement): Row[] {
  const { plan, drops, payments, providers, notifications } = evidence;
  const bought = new Map(plan.buyers.map(({ name, method }) => [name, method]));
  const orders = drops.flatMap((drop) => drop.orders);
  const paidWith = new Map<string, string>();
  for (const { order, provider, state } of payments) {
    if (state === 'captured') paidWith.set(order, provider);
  }
  return methods.map((provider) => {
    const own = orders.filter(({ buyer }) => bought.get(buyer) === provider);
    const ended = (wanted: string) => own.filter(({ state }) => state === wanted).length;
    const moved = [...money.values()].filter((one) => one.provider === provider);
    const sum = (of: 'captured' | 'refunded') => moved.reduce((total, one) => total + one[of], 0);
    const told = provider === 'wallet' ? undefined : providers[provider];
    return {
      provider,
      paid: ended('paid'),
      released: ended('released'),
      refunded: ended('refunded'),
      captures: moved.filter(({ captured }) => captured > 0).length,
      captured: sum('captured'),
      returned: sum('refunded'),
      kept: sum('captured') - sum('refunded'),
      due: orders.reduce((total, { id }) => {
        return total + (paidWith.get(id) === provider ? (due.get(id) ?? 0) : 0);
      }, 0),
      sent: told?.sent ?? 0,
      lost: told?.lost ?? 0,
      repeats: notifications.find((one) => one.provider === provider)?.repeats ?? 0,
      forged: told?.forged ?? 0,
    };
  });
}

const columns: [title: string, cell: (row: Row) => number][] = [
  ['paid', (row) => row.paid],
  ['released', (row) => row.released],
  ['refunded', (row) => row.refunded],
  ['captures', (row) => row.captures],
  ['captured', (row) => row.captured],
  ['given back', (row) => row.returned],
  ['kept', (row) => row.kept],
  ['due', (row) => row.due],
  ['messages', (row) => row.sent],
  ['lost', (row) => row.lost],
  ['repeated', (row) => row.repeats],
  ['forged', (row) => row.forged],
];

/** The rows as a table of text, with a last line for all of them together. */
export function tableOf(rows: Row[]): string {
  const lines = rows.map((row) => [row.provider, ...columns.map(([, cell]) => cell(row))]);
  const totals = columns.map(([, cell]) => rows.reduce((sum, row) => sum + cell(row), 0));
  const cells = [['', ...columns.map(([title]) => title)], ...lines, ['together', ...totals]].map(
    (line) => line.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell)),
  );
  const widths = (cells[0] ?? []).map((_, n) =>
    Math.max(...cells.map((line) => line[n]?.length ?? 0)),
  );
  return cells
    .map((line) => {
      const padded = line.map((cell, n) =>
        n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0),
      );
      return padded.join('  ').trimEnd();
    })
    .join('\n');
}
