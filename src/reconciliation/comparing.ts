import type { Drop } from '../domain/drop.ts';
import { type DropId, type OrderId, type PayableId, parseOrderId } from '../domain/ids.ts';
import type { Providers } from '../payments/provider.ts';
import { type openBillComparison, unknownCharge } from './bills.ts';
import type { Finding } from './differences.ts';
import type { openOrderComparison } from './orders.ts';
import type { openPaymentComparison } from './payments.ts';
import { laneUnreadable, stillOpen, type UnreadLane } from './unread-lanes.ts';
import type { OutboxEnds, openUnrecordedOrders } from './unrecorded-orders.ts';

/** What a run compares: ids, and the window of the bills in ms since the epoch. */
export type ComparisonScope = {
  since: number;
  until: number;
  drops: readonly Drop[];
  payments: readonly string[];
  orders: readonly OrderId[];
  /** References of the wallet's own book. */
  charges: readonly string[];
};

/** Differences seen once, with what is needed to compare only them again. */
export type Suspects = { findings: Finding[]; outboxEnds: OutboxEnds };

export type FirstComparison = {
  suspects: Suspects;
  notCompared: { what: string; why: string }[];
  compared: {
    payments: number;
    orders: number;
    billLines: number;
    foreignBillLines: number;
  };
};

const paymentsAtOnce = 100;
const ordersAtOnce = 250;

/** Kinds that may only mean that the ledger has not read the lane's latest entries yet. */
const explainedByLag = new Set<Finding['kind']>(['order_differs', 'order_not_in_ledger']);
const ofBills = new Set<Finding['kind']>(['unknown_capture', 'unknown_refund', 'bill_unreadable']);

/** Compares everything in a scope once, and then again only what differed. */
export function openComparing(options: {
  comparePayments: ReturnType<typeof openPaymentComparison>;
  compareOrders: ReturnType<typeof openOrderComparison>;
  bills: ReturnType<typeof openBillComparison>;
  unrecordedOrders: ReturnType<typeof openUnrecordedOrders>;
  providers: Providers;
}) {
  const { comparePayments, compareOrders, bills, unrecordedOrders, providers } = options;

  async function first(
    scope: ComparisonScope,
    signal: AbortSignal | undefined,
  ): Promise<FirstComparison> {
    const findings: Finding[] = [];
    const references = new Set(scope.payments);
    const compared = { payments: 0, orders: 0, billLines: 0, foreignBillLines: 0 };
    const notCompared: FirstComparison['notCompared'] = [];
    for (const provider of providers.values()) {
      if (provider.name === wallet) continue;
      signal?.throwIfAborted();
      const bill = await bills.compare(provider, { from: scope.since, until: scope.until });
      findings.push(...bill.findings);
      notCompared.push(...bill.notCompared);
      compared.billLines += bill.lines;
      compared.foreignBillLines += bill.foreign;
      for (const reference of bill.payments) references.add(reference);
    }
    for (const some of batches(scope.charges, ordersAtOnce)) {
      findings.push(...(await bills.recheck(some.map(unknownCharge))));
    }
    const ids = new Set<PayableId>(scope.orders);
    for (const some of batches([...references], paymentsAtOnce)) {
      signal?.throwIfAborted();
      const { findings: more, orders } = await comparePayments(some);
      findings.push(...more);
      for (const id of orders) ids.add(id);
    }
    const unrecorded = await unrecordedOrders.find(scope.drops);
    for (const id of unrecorded.ids) ids.add(id);
    const unread = unrecorded.unread;
    for (const some of batches([...ids], ordersAtOnce)) {
      signal?.throwIfAborted();
      const orders = await compareOrders(some);
      findings.push(...orders.findings);
      unread.push(...orders.unread);
    }
    findings.push(...unread.map(laneUnreadable));
    notCompared.push(...unread.map(({ ref, why }) => ({ what: `the lanes of ${ref.drop}`, why })));
    Object.assign(compared, { payments: references.size, orders: ids.size });
    const outboxEnds = await unrecordedOrders.outboxEnds(dropsOf(findings));
    return { suspects: { findings, outboxEnds }, notCompared: onceEach(notCompared), compared };
  }

  async function again({ findings, outboxEnds }: Suspects): Promise<Finding[]> {
    const found: Finding[] = [];
    const fromBills = findings.filter(isOfBill);
    found.push(...fromBills.filter(({ kind }) => kind === 'bill_unreadable'));
    found.push(...(await bills.recheck(fromBills.filter(({ payment }) => payment !== ''))));
    const rest = findings.filter((finding) => !isOfBill(finding));
    const references = rest.map(({ payment }) => payment.replace(/r\d+$/, '')).filter(Boolean);
    for (const some of batches([...new Set(references)], paymentsAtOnce)) {
      found.push(...(await comparePayments(some)).findings);
    }
    const ids = rest.flatMap(({ order }) => order || []);
    const unread: UnreadLane[] = [];
    for (const some of batches([...new Set(ids)], ordersAtOnce)) {
      const orders = await compareOrders(some);
      found.push(...orders.findings);
      unread.push(...orders.unread);
    }
    found.push(...stillOpen(rest, unread));
    const behind = await unrecordedOrders.dropsBehind(outboxEnds);
    return found.filter(({ kind, order }) => {
      const drop = parseOrderId(order)?.drop;
      return !(explainedByLag.has(kind) && drop && behind.has(drop));
    });
  }

  return { first, again };
}

const wallet = 'wallet';

/** Whether a finding comes from a bill only, so that no payment of the ledger can be looked up. */
function isOfBill({ kind, order }: Finding): boolean {
  return ofBills.has(kind) || (kind === 'amount_differs' && order === '');
}

/** A lane is read many times: what cannot be compared is named once. */
function onceEach(notCompared: FirstComparison['notCompared']): FirstComparison['notCompared'] {
  return [...new Map(notCompared.map((one) => [one.what, one])).values()];
}

function dropsOf(findings: readonly Finding[]): Set<DropId> {
  const lagging = findings.filter(({ kind }) => explainedByLag.has(kind));
  return new Set(lagging.flatMap(({ order }) => parseOrderId(order)?.drop ?? []));
}

function* batches<T>(all: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}
