import type { Breach, Verdict } from '../record/record.ts';
import type { BookHead, BookLine } from './book.ts';
import { type Judged, openCheck, orderPattern, type Point, titles } from './checks.ts';
import { type Clients, readLines } from './clients.ts';
import { type Listed, readListed } from './listed.ts';
import { judgeMoney } from './money.ts';
import type { AuditReport, Sources } from './sources.ts';

const breachesShownMax = 1_000;

/**
 * Judges a sale that has settled, from what its clients saw and what the engine's routes and the
 * providers' own books say. It does not run in the load processes and uses none of their figures.
 */
export async function auditSale(options: {
  head: BookHead;
  /** The clients' books: the lines of each client in order. */
  lines: AsyncIterable<BookLine> | Iterable<BookLine>;
  sources: Sources;
}): Promise<Verdict> {
  const { head, sources } = options;
  const clients = await readLines(options.lines);
  const listed = await readListed(sources.orders(head.drop), clients);
  const judged = [
    judgeStock(head, listed, await sources.report(head.drop)),
    judgeEnds(listed, clients),
    await judgeMoney({ head, listed, clients, sources }),
    judgeLimits(head, listed),
    judgeLedger(head, listed, clients),
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

function judgeStock(
  head: BookHead,
  { orders }: Listed,
  report: Awaited<ReturnType<Sources['report']>>,
): Judged {
  const { breaches, add } = openCheck('A');
  const sold = new Map<string, number>();
  for (const item of report.items) {
    sold.set(item.sku, item.sold);
    const units = head.items.find(({ sku }) => sku === item.sku)?.units;
    if (item.allotment !== units) add(`the item has ${item.allotment} units of ${units}`);
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
  const figures = { units: 0, sold: 0, paid: 0 };
  for (const { sku, units } of head.items) {
    const gone = sold.get(sku) ?? 0;
    const { paid, over } = paidOf(orders, { sku, units });
    if (over) add(`${paid} units are paid of ${units}`, over);
    if (paid !== gone) add(`${paid} units are paid, the lanes sold ${gone}`);
    figures.units += units;
    figures.sold += gone;
    figures.paid += paid;
  }
  return { figures, breaches };
}

/** The units of an item that are paid, and the first order beyond its units. */
function paidOf(
  orders: Listed['orders'],
  { sku, units }: { sku: string; units: number },
): { paid: number; over: string | undefined } {
  let paid = 0;
  let over: string | undefined;
  for (const [id, order] of orders) {
    if (order.state !== 'paid' || order.sku !== sku) continue;
    paid += order.quantity;
    if (paid > units) over ??= id;
  }
  return { paid, over };
}

function judgeEnds({ orders, twice }: Listed, clients: Clients): Judged {
  const { breaches, add } = openCheck('B');
  const counts: Record<string, number> = {};
  for (const id of twice) add(`${id} is listed twice`, id);
  for (const [id, { state }] of orders) {
    counts[state] = (counts[state] ?? 0) + 1;
    if (state === 'reserved') add(`${id} is still reserved`, id);
    for (const seen of clients.seen.get(id) ?? []) {
      if (cannotFollow[seen]?.includes(state)) add(`${id} was seen ${seen} and is ${state}`, id);
    }
  }
  return { figures: counts, breaches };
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

function judgeLimits(head: BookHead, { orders }: Listed): Judged {
  const { breaches, add } = openCheck('D');
  const crowdOf = openCrowds(head);
  const limits = new Map(head.items.map(({ sku, perBuyer }) => [sku, perBuyer]));
  const dropLimit = head.perBuyer ?? Number.POSITIVE_INFINITY;
  const owned = new Map<string, number>();
  const owners = new Map<string, number>();
  for (const [id, { buyer, sku, state, quantity }] of orders) {
    if (crowdOf(buyer)?.uninvited) add(`${buyer} has an order and no appointment`, id);
    if (state !== 'paid' && state !== 'reserved') continue;
    const all = (owners.get(buyer) ?? 0) + quantity;
    owners.set(buyer, all);
    const name = `${buyer} ${sku}`;
    const count = (owned.get(name) ?? 0) + quantity;
    owned.set(name, count);
    const limit = limits.get(sku) ?? 0;
    if (count > limit) add(`${buyer} has ${count} units, ${limit} allowed`, id);
    if (all > dropLimit) add(`${buyer} has ${all} units of all items, ${dropLimit} allowed`, id);
  }
  return { figures: { owners: owners.size }, breaches };
}

function judgeLedger(head: BookHead, { orders }: Listed, clients: Clients): Judged {
  const { breaches, add } = openCheck('E');
  const crowdOf = openCrowds(head);
  for (const [id, { buyer }] of clients.acknowledged) {
    const order = orders.get(id);
    if (!order) add(`${id} was acknowledged to ${buyer} and is in no list`, id);
    else if (order.buyer !== buyer) add(`${id} of ${buyer} is listed as ${order.buyer}'s`, id);
  }
  for (const [id, { buyer }] of orders) {
    if (!crowdOf(buyer)) add(`${id} belongs to ${buyer}, who is not of the crowd`, id);
    else if (!clients.acknowledged.has(id) && !clients.unsure.has(buyer)) {
      add(`${id} exists, and ${buyer} was never told of it`, id);
    }
  }
  const figures = {
    acknowledged: clients.acknowledged.size,
    listed: orders.size,
    unsureBuyers: clients.unsure.size,
  };
  return { figures, breaches };
}

function judgeOwnAudit(report: AuditReport): Judged {
  const { breaches, add } = openCheck('audit');
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
