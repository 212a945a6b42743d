import type { Book } from './crowd.ts';
import type { SeenOrder } from './merchant.ts';

export type Verdict = { figures: Record<string, number>; breaches: string[] };

/**
 * Judges a sale from what the clients saw, against the merchant's list of orders: (B) each accepted
 * order has one end, (D) nobody has more than one, (E) no acknowledged order is missing and no order
 * is without a buyer who asked, (F) the same key always got the same bytes.
 */
export function judgeSale(options: { book: Book; orders: SeenOrder[]; units: number }): Verdict {
  const { book, orders, units } = options;
  const breaches: string[] = [];
  const byId = new Map(orders.map((order) => [order.id, order]));
  const figures = {
    buyers: book.size,
    requests: 0,
    accepted: 0,
    replayed: 0,
    paid: 0,
    released: 0,
  };
  const refused: Record<string, number> = {};

  for (const [buyer, attempts] of book) {
    figures.requests += attempts.length;
    figures.replayed += attempts.filter(({ replayed }) => replayed).length;
    const bodies = new Set(attempts.flatMap(({ status, body }) => (status === 202 ? [body] : [])));
    if (bodies.size > 1) breaches.push(`F: ${buyer} got ${bodies.size} answers for one key`);
    const [body] = bodies;
    if (body === undefined) {
      const code = attempts.at(-1)?.code || 'none';
      refused[`told ${code}`] = (refused[`told ${code}`] ?? 0) + 1;
      continue;
    }
    figures.accepted += 1;
    const { id } = JSON.parse(body) as { id: string };
    const order = byId.get(id);
    if (!order) breaches.push(`E: ${id} was acknowledged to ${buyer} and is in no list`);
    else if (order.buyer !== buyer) breaches.push(`E: ${id} of ${buyer} is listed as another's`);
    else if (order.state === 'reserved') {
      breaches.push(`B: ${id} is ${order.state} at the end`);
    }
  }

  const owners = new Map<string, number>();
  for (const { id, buyer, state } of orders) {
    if (state === 'paid') figures.paid += 1;
    if (state === 'released') figures.released += 1;
    if (!book.has(buyer)) breaches.push(`E: ${id} belongs to ${buyer}, who never pressed Buy`);
    if (state === 'paid') owners.set(buyer, (owners.get(buyer) ?? 0) + 1);
  }
  for (const [buyer, count] of owners) {
    if (count > 1) breaches.push(`D: ${buyer} owns ${count} units of a drop that allows one`);
  }
  if (byId.size !== orders.length) breaches.push('E: an order is listed twice');
  if (figures.paid > units) breaches.push(`A: ${figures.paid} paid of ${units} units`);
  return { figures: { ...figures, ...refused }, breaches };
}
