import type { BookHead } from './book.ts';
import { capturedOf, readCharges } from './charges.ts';
import { type Judged, openCheck, orderPattern } from './checks.ts';
import type { Clients } from './clients.ts';
import type { Listed } from './listed.ts';
import type { Movement, Sources } from './sources.ts';

const buyersAtOnce = 1_000;

/** (C) Order by order; a capture that names no order is counted for its buyer. */
export async function judgeMoney(options: {
  head: BookHead;
  listed: Listed;
  clients: Clients;
  sources: Sources;
}): Promise<Judged> {
  const { head, listed, clients, sources } = options;
  const { breaches, add } = openCheck('C');
  const kept = new Map<string, number>();
  const figures = { captured: 0, refunded: 0, movements: 0 };
  for await (const movement of moved({ sources, drop: head.drop }, clients, listed)) {
    const { buyer, kind, reference, amount } = movement;
    const order = orderPattern.exec(reference)?.[0] ?? buyer;
    kept.set(order, (kept.get(order) ?? 0) + (kind === 'capture' ? amount : -amount));
    figures[kind === 'capture' ? 'captured' : 'refunded'] += amount;
    figures.movements += 1;
  }
  const charged = await readCharges(sources.charges?.(head.drop) ?? [], listed.orders.keys());
  for (const [order, { captured, refunded }] of charged.orders) {
    kept.set(order, (kept.get(order) ?? 0) + captured - refunded);
  }
  const ordersOf = new Map<string, string>();
  const prices = new Map(head.items.map(({ sku, unitAmount }) => [sku, unitAmount]));
  for (const [id, { buyer, sku, state, quantity }] of listed.orders) {
    ordersOf.set(buyer, id);
    const price = (prices.get(sku) ?? 0) * quantity;
    const due = state === 'paid' ? price - (clients.gaveBack.get(id) ?? 0) : 0;
    const amount = kept.get(id) ?? 0;
    kept.delete(id);
    if (amount !== due) add(`${buyer} was charged ${amount} for ${id}, due is ${due}`, id);
    const back = charged.orders.get(id);
    if (back && back.refunded > back.captured) {
      add(`${id} was given back ${back.refunded} of ${back.captured}`, id);
    }
  }
  for (const [owner, amount] of kept) {
    if (amount === 0) continue;
    const order = orderPattern.test(owner) ? owner : ordersOf.get(owner);
    add(`${owner} was charged ${amount} for what is in no list`, order);
  }
  for (const { reference, ...charge } of charged.strays) {
    const captured = capturedOf({ reference, ...charge });
    if (captured > 0) add(`${reference} was charged ${captured} for what is in no list`);
  }
  const { charges, ...sums } = charged.figures;
  figures.captured += sums.captured;
  figures.refunded += sums.refunded;
  return { figures: { ...figures, charges }, breaches };
}

/**
 * Transfers between the merchant and every buyer who may have paid, without those whose payment
 * reference names another drop: the same buyers may have bought in an earlier one.
 */
async function* moved(
  { sources, drop }: { sources: Sources; drop: string },
  clients: Clients,
  listed: Listed,
): AsyncGenerator<Movement> {
  const asked = new Set(clients.unsure);
  for (const { buyer } of listed.orders.values()) asked.add(buyer);
  for (const { buyer } of clients.acknowledged.values()) asked.add(buyer);
  const buyers = [...asked];
  const prefix = `${drop.replace('drop_', 'ord_')}_`;
  for (let at = 0; at < buyers.length; at += buyersAtOnce) {
    for (const movement of await sources.movements(buyers.slice(at, at + buyersAtOnce))) {
      const order = orderPattern.exec(movement.reference)?.[0];
      if (!order || order.startsWith(prefix)) yield movement;
    }
  }
}
