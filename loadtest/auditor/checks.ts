import type { Breach, Verdict } from '../record/record.ts';

export type Point = Verdict['points'][number];

/** An order's id, also within a payment's reference. */
export const orderPattern = /ord_[a-z0-9]{12}_\d{1,2}_[A-Za-z0-9_-]{22}/;

/** What each check asks, and the promise it is about. */
export const titles: Record<Point['point'], { promise: number; title: string }> = {
  A: { promise: 1, title: 'available + held + sold = allotment, and no more paid than there was' },
  B: { promise: 5, title: 'each order has exactly one end' },
  C: {
    promise: 4,
    title:
      "captured less refunded is the price of a paid order and else nothing, in the providers' own books",
  },
  D: {
    promise: 7,
    title: 'nobody is above the limit, and nobody has an order without the appointment it needs',
  },
  E: {
    promise: 2,
    title: 'every acknowledged order is in the ledger, and none is there that nobody asked for',
  },
  F: { promise: 3, title: 'the same key got the same bytes' },
  audit: { promise: 10, title: "the engine's own audit is clean and settled" },
};

export type Judged = { figures: Record<string, number>; breaches: Breach[] };

/** Collects the breaches found by a check, under its promise. */
export function openCheck(point: Point['point']) {
  const breaches: Breach[] = [];
  const { promise } = titles[point];
  return {
    breaches,
    add: (text: string, order?: string) => breaches.push({ point, promise, order, text }),
  };
}
