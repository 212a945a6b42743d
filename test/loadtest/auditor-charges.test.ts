import { hash } from 'node:crypto';
import { expect, test } from 'vitest';
import { auditSale } from '../../loadtest/auditor/auditor.ts';
import type { BookHead, BookLine } from '../../loadtest/auditor/book.ts';
import type { ProviderCharge, Sources } from '../../loadtest/auditor/sources.ts';
import { newDropId, type OrderId, orderId, orderRef } from '../../src/domain/ids.ts';
import { paymentReference } from '../../src/ledger/payments/row.ts';

const unitAmount = 199_900;
const drop = newDropId();
const idOf = (buyer: string) => orderId(orderRef(drop, buyer, 'k', 1));
const [paid, released, refunded] = [idOf('b-0'), idOf('b-1'), idOf('b-2')];
const states = { [paid]: 'paid', [released]: 'released', [refunded]: 'refunded' };

/** A charge of an attempt, as a simulator's book has it. */
function aCharge(
  order: OrderId,
  { attempt = 1, captures = 1, refunds = [] as number[] } = {},
): ProviderCharge {
  const reference = paymentReference(order, attempt, 'stripe');
  const back = refunds.map((amount) => ({ amount }));
  return { reference, amount: unitAmount, captures, refunds: back };
}

/** Three orders that ended as they should, in the provider's book and everywhere else. */
const book = [
  aCharge(paid, { attempt: 1, captures: 0 }),
  aCharge(paid, { attempt: 2 }),
  aCharge(released, { refunds: [unitAmount] }),
  aCharge(refunded, { refunds: [100, unitAmount - 100] }),
];

/** What the auditor says of the money, for these charges. */
async function judge(charges: ProviderCharge[], more: BookLine[] = []) {
  const buyers = Object.keys(states);
  const head: BookHead = {
    drop,
    items: [{ sku: 'phone', units: 3, unitAmount, perBuyer: 1 }],
    crowds: [{ prefix: 'b-', count: buyers.length }],
  };
  const units = { available: 2, held: 0, sold: 1, allotment: 3 };
  const sources: Sources = {
    async *orders() {
      for (const [n, id] of buyers.entries()) {
        yield { id, buyer: `b-${n}`, sku: 'phone', state: states[id] ?? '', quantity: 1 };
      }
    },
    report: async () => ({ items: [{ sku: 'phone', ...units, lanes: [units] }] }),
    audit: async () => ({ clean: true, settled: true, checks: [] }),
    movements: async () => [],
    async *charges() {
      yield* charges;
    },
  };
  const acks = buyers.map((id, n): BookLine => {
    const base = { at: 0, buyer: `b-${n}`, key: 'k', replayed: false };
    return { ...base, kind: 'ack', body: JSON.stringify({ id }) };
  });
  return auditSale({ head, lines: [...acks, ...more], sources });
}

/** The orders that the breaches name; all are of the money. */
async function blamed(charges: ProviderCharge[], more: BookLine[] = []) {
  const { breaches } = await judge(charges, more);
  expect(breaches.every(({ point, promise }) => point === 'C' && promise === 4)).toBe(true);
  return breaches.map(({ order }) => order);
}

test("orders whose money is right in a provider's book are found clean, with the sums", async () => {
  const verdict = await judge(book);
  expect(verdict).toMatchObject({ clean: true, breaches: [] });
  const money = verdict.points.find(({ point }) => point === 'C');
  expect(money?.figures).toMatchObject({
    charges: 4,
    captured: 3 * unitAmount,
    refunded: 2 * unitAmount,
  });
});

test('an order that was captured twice is named, in one way of paying or in two', async () => {
  const twice = book.map((charge, n) => (n === 1 ? { ...charge, captures: 2 } : charge));
  expect(await blamed(twice)).toEqual([paid]);
  const both = book.map((charge, n) => (n === 0 ? { ...charge, captures: 1 } : charge));
  expect(await blamed(both)).toEqual([paid]);
  const far = [...book, aCharge(paid, { attempt: 20 })];
  expect(await blamed(far)).toEqual([paid]);
});

test('money that is kept for a released order, and a refund that is missing, name their orders', async () => {
  const kept = book.map((charge, n) => (n === 2 ? { ...charge, refunds: [] } : charge));
  expect(await blamed(kept)).toEqual([released]);
  const missing = book.map((charge, n) =>
    n === 3 ? { ...charge, refunds: [{ amount: 100 }] } : charge,
  );
  expect(await blamed(missing)).toEqual([refunded]);
});

test('a paid order without its capture, and one that was given back what nobody asked for, are named', async () => {
  expect(await blamed(book.filter((_, n) => n !== 1))).toEqual([paid]);
  const back = book.map((charge, n) =>
    n === 1 ? { ...charge, refunds: [{ amount: 500 }] } : charge,
  );
  expect(await blamed(back)).toEqual([paid]);
});

test('what a merchant gave back of a paid order is expected once per key', async () => {
  const back = book.map((charge, n) =>
    n === 1 ? { ...charge, refunds: [{ amount: 500 }] } : charge,
  );
  const line = (key: string): BookLine => {
    return { kind: 'gave_back', at: 0, buyer: 'b-0', order: paid, key, amount: 500 };
  };
  expect(await blamed(back, [line('r'), line('r')])).toEqual([]);
  expect(await blamed(back, [line('r'), line('s')])).toEqual([paid]);
  expect(await blamed(book, [line('r')])).toEqual([paid]);
});

test('a capture that fits no listed order is a breach, and an unpaid charge is none', async () => {
  const stray = aCharge(idOf('nobody'));
  expect(await blamed([...book, { ...stray, captures: 0 }])).toEqual([]);
  const { breaches } = await judge([...book, stray]);
  expect(breaches).toEqual([
    expect.objectContaining({ point: 'C', text: expect.stringContaining(stray.reference) }),
  ]);
});

test('a reference is made as the promise has it: fd and 120 bits of order and attempt', () => {
  const digest = hash('sha256', `${paid}\0${1}`, 'hex').slice(0, 30);
  expect(aCharge(paid).reference).toBe(`fd${digest}`);
});
