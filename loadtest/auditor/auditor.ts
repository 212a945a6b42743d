import type { SeenOrder } from '../merchant.ts';
import type { Breach, Verdict } from '../spike/record.ts';
import type { BookHead } from './book.ts';
import { type Clients, readBooks } from './clients.ts';
import type { AuditReport, Movement, Sources } from './sources.ts';

type Point = Verdict['points'][number];

const buyersAtOnce = 1_000;
const breachesShownMax = 1_000;
/** An order's id, also within a payment's reference. */
const orderPattern = /ord_[a-z0-9]{12}_\d{1,2}_[A-Za-z0-9_-]{22}/;

const titles: Record<Point['point'], { promise: number; title: string }> = {
  A: { promise: 1, title: 'available + held + sold = allotment, and no more paid than there was' },
  B: { promise: 5, title: 'each order has exactly one end' },
  C: {
    promise: 4,
    title:
      "captured less refunded is the price of a paid order and else nothing, in the wallet's own book",
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

/**
 * Judges a sale that has settled, from what its clients saw and what the engine's routes and the
 * wallet's own book say. It takes no part in the load and trusts no figure of it.
 */
export async function auditSale(options: {
  head: BookHead;
  /** Files of BookLine, one JSON document a line. */
  books: string[];
  sources: Sources;
}): Promise<Verdict> {
  const { head, sources } = options;
  const clients = await readBooks(options.books);
  const orders = await sources.orders(head.drop);
  const movements = await moved({ sources, drop: head.drop }, clients, orders);
  const judged = [
    judgeStock(head, orders, await sources.report(head.drop)),
    judgeEnds(orders, clients),
    judgeMoney(head, orders, movements),
    judgeLimits(head, orders),
    judgeLedger(head, orders, clients),
    { figures: { lines: clients.lines }, breaches: clients.breaches },
    judgeOwnAudit(await sources.audit(head.drop)),
  ];
  const names = Object.keys(titles) as Point['point'][];
  const points = names.map((point, n): Point => {
    const { figures, breaches } = judged[n] as Judged;
    const shown = { ...figures, breaches: breaches.length };
    return { point, ...titles[point], ok: breaches.length === 0, figures: shown };
  });
  const breaches = judged.flatMap((one) => one.breaches).slice(0, breachesShownMax);
  return { clean: points.every(({ ok }) => ok), points, breaches };
}

/** A released order may still be paid: a late capture takes its unit again. */
const cannotFollow: Record<string, string[]> = {
  paid: ['reserved', 'released'],
  released: ['reserved'],
  refunded: ['reserved', 'paid', 'released'],
};

type Judged = { figures: Record<string, number>; breaches: Breach[] };

/** Collects a point's breaches under its promise. */
function openPoint(point: Point['point']) {
  const breaches: Breach[] = [];
  const { promise } = titles[point];
  return {
    breaches,
    add: (text: string, order?: string) => breaches.push({ point, promise, order, text }),
  };
}

function judgeStock(
  head: BookHead,
  orders: SeenOrder[],
  report: Awaited<ReturnType<Sources['report']>>,
): Judged {
  const { breaches, add } = openPoint('A');
  let sold = 0;
  for (const item of report.items) {
    sold += item.sold;
    if (item.allotment !== head.units) add(`the item has ${item.allotment} units of ${head.units}`);
    for (const name of ['available', 'held', 'sold', 'allotment'] as const) {
      const sum = item.lanes.reduce((total, lane) => total + lane[name], 0);
      if (sum !== item[name]) add(`the lanes have ${sum} ${name}, the item ${item[name]}`);
    }
    for (const [n, lane] of [item, ...item.lanes].entries()) {
      const { available, held, sold: gone, allotment } = lane;
      const where = n === 0 ? 'the item' : `lane ${n - 1}`;
      if (Math.min(available, held, gone) < 0) add(`${where} has a figure below zero`);
      if (available + held + gone !== allotment) {
        add(`${where}: ${available} + ${held} + ${gone} is not ${allotment}`);
      }
    }
  }
  const paid = orders.filter(({ state }) => state === 'paid');
  let units = 0;
  let over: string | undefined;
  for (const { id, quantity } of paid) {
    units += quantity;
    if (units > head.units) over ??= id;
  }
  if (over) add(`${units} units are paid of ${head.units}`, over);
  if (units !== sold) add(`${units} units are paid, the lanes sold ${sold}`);
  return { figures: { units: head.units, sold, paid: units }, breaches };
}

function judgeEnds(orders: SeenOrder[], clients: Clients): Judged {
  const { breaches, add } = openPoint('B');
  const counts: Record<string, number> = {};
  const ids = new Set<string>();
  for (const { id, state } of orders) {
    counts[state] = (counts[state] ?? 0) + 1;
    if (ids.has(id)) add(`${id} is listed twice`, id);
    ids.add(id);
    if (state === 'reserved') add(`${id} is still reserved`, id);
    for (const seen of clients.seen.get(id) ?? []) {
      if (cannotFollow[seen]?.includes(state)) add(`${id} was seen ${seen} and is ${state}`, id);
    }
  }
  return { figures: counts, breaches };
}

/** Order by order; a capture that names no order is held against its buyer. */
function judgeMoney(head: BookHead, orders: SeenOrder[], movements: Movement[]): Judged {
  const { breaches, add } = openPoint('C');
  const kept = new Map<string, number>();
  const ordersOf = new Map<string, string>();
  let captured = 0;
  let refunded = 0;
  for (const { buyer, kind, reference, amount } of movements) {
    const order = orderPattern.exec(reference)?.[0] ?? buyer;
    kept.set(order, (kept.get(order) ?? 0) + (kind === 'capture' ? amount : -amount));
    if (kind === 'capture') captured += amount;
    else refunded += amount;
  }
  for (const { id, buyer, state, quantity } of orders) {
    ordersOf.set(buyer, id);
    const due = state === 'paid' ? head.unitAmount * quantity : 0;
    const amount = kept.get(id) ?? 0;
    kept.delete(id);
    if (amount !== due) add(`${buyer} was charged ${amount} for ${id}, due is ${due}`, id);
  }
  for (const [owner, amount] of kept) {
    if (amount === 0) continue;
    const order = orderPattern.test(owner) ? owner : ordersOf.get(owner);
    add(`${owner} was charged ${amount} for what is in no list`, order);
  }
  return { figures: { captured, refunded, movements: movements.length }, breaches };
}

/** Finds the crowd of a buyer, who is named by its prefix and a number below its count. */
function openCrowds(head: BookHead) {
  const crowds = new Map(head.crowds.map((crowd) => [crowd.prefix, crowd]));
  return (buyer: string) => {
    const digits = /\d+$/.exec(buyer)?.[0] ?? '';
    const crowd = crowds.get(buyer.slice(0, buyer.length - digits.length));
    return crowd && digits !== '' && Number(digits) < crowd.count ? crowd : undefined;
  };
}

function judgeLimits(head: BookHead, orders: SeenOrder[]): Judged {
  const { breaches, add } = openPoint('D');
  const crowdOf = openCrowds(head);
  const owned = new Map<string, number>();
  for (const { id, buyer, state, quantity } of orders) {
    if (crowdOf(buyer)?.uninvited) add(`${buyer} has an order and no appointment`, id);
    if (state !== 'paid' && state !== 'reserved') continue;
    const count = (owned.get(buyer) ?? 0) + quantity;
    owned.set(buyer, count);
    if (count > head.perBuyer) add(`${buyer} has ${count} units, ${head.perBuyer} allowed`, id);
  }
  return { figures: { owners: owned.size }, breaches };
}

function judgeLedger(head: BookHead, orders: SeenOrder[], clients: Clients): Judged {
  const { breaches, add } = openPoint('E');
  const listed = new Map(orders.map((order) => [order.id, order]));
  const crowdOf = openCrowds(head);
  for (const [id, { buyer }] of clients.acknowledged) {
    const order = listed.get(id);
    if (!order) add(`${id} was acknowledged to ${buyer} and is in no list`, id);
    else if (order.buyer !== buyer) add(`${id} of ${buyer} is listed as ${order.buyer}'s`, id);
  }
  for (const { id, buyer } of orders) {
    if (!crowdOf(buyer)) add(`${id} belongs to ${buyer}, who is not of the crowd`, id);
    else if (!clients.acknowledged.has(id) && !clients.unsure.has(buyer)) {
      add(`${id} exists, and ${buyer} was never told of it`, id);
    }
  }
  const figures = {
    acknowledged: clients.acknowledged.size,
    listed: orders.length,
    unsureBuyers: clients.unsure.size,
  };
  return { figures, breaches };
}

function judgeOwnAudit(report: AuditReport): Judged {
  const { breaches, add } = openPoint('audit');
  for (const { promise, findings, ok, title } of report.checks) {
    for (const text of findings.length > 0 || ok ? findings : [title]) {
      add(text);
      Object.assign(breaches.at(-1) as Breach, { promise, order: orderPattern.exec(text)?.[0] });
    }
  }
  if (!report.settled) add('the audit saw orders still in motion');
  else if (!report.clean && breaches.length === 0) add('the audit is not clean');
  return { figures: { checks: report.checks.length }, breaches };
}

/**
 * What moved between merchant and every buyer who may have paid; not what the payment's reference
 * says was for another drop, since the same crowd may have been at an earlier one.
 */
async function moved(
  { sources, drop }: { sources: Sources; drop: string },
  clients: Clients,
  orders: SeenOrder[],
): Promise<Movement[]> {
  const asked = new Set([...clients.unsure, ...orders.map(({ buyer }) => buyer)]);
  for (const { buyer } of clients.acknowledged.values()) asked.add(buyer);
  const buyers = [...asked];
  const movements: Movement[] = [];
  const prefix = drop.replace('drop_', 'ord_');
  for (let at = 0; at < buyers.length; at += buyersAtOnce) {
    for (const movement of await sources.movements(buyers.slice(at, at + buyersAtOnce))) {
      const order = orderPattern.exec(movement.reference)?.[0];
      if (!order || order.startsWith(`${prefix}_`)) movements.push(movement);
    }
  }
  return movements;
}
