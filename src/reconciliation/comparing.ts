import type { Drop } from '../domain/drop.ts';
import { type DropId, type OrderId, type PayableId, parseOrderId } from '../domain/ids.ts';
import type { Providers } from '../payments/provider.ts';
import { type openBillComparison, strangeCharge } from './bills.ts';
import type { Finding } from './differences.ts';
import type { openOrderComparison } from './orders.ts';
import type { openPaymentComparison } from './payments.ts';
import type { Marks, openUnrecordedOrders } from './unrecorded-orders.ts';

/** What a run goes through at its first look: names, and the window of the bills. */
export type Wanted = {
  since: number;
  until: number;
  drops: readonly Drop[];
  payments: readonly string[];
  orders: readonly OrderId[];
  /** References of the wallet's own book. */
  charges: readonly string[];
};

/** What differed, with all that it takes to look at just that again. */
export type Suspects = { findings: Finding[]; marks: Marks };

export type FirstLook = {
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

/** Kinds that the ledger's being behind its lanes explains. */
const explainedByLag = new Set<Finding['kind']>(['order_differs', 'order_not_in_ledger']);
const ofBills = new Set<Finding['kind']>(['unknown_capture', 'unknown_refund', 'bill_unreadable']);

/** One look at all of it, and further looks at what differed. */
export function openComparing(options: {
  comparePayments: ReturnType<typeof openPaymentComparison>;
  compareOrders: ReturnType<typeof openOrderComparison>;
  bills: ReturnType<typeof openBillComparison>;
  strangers: ReturnType<typeof openUnrecordedOrders>;
  providers: Providers;
}) {
  const { comparePayments, compareOrders, bills, strangers, providers } = options;

  async function first(wanted: Wanted, signal: AbortSignal | undefined): Promise<FirstLook> {
    const findings: Finding[] = [];
    const references = new Set(wanted.payments);
    const compared = { payments: 0, orders: 0, billLines: 0, foreignBillLines: 0 };
    const notCompared: FirstLook['notCompared'] = [];
    for (const provider of providers.values()) {
      if (provider.name === wallet) continue;
      signal?.throwIfAborted();
      const bill = await bills.compare(provider, { from: wanted.since, until: wanted.until });
      findings.push(...bill.findings);
      notCompared.push(...bill.notCompared);
      compared.billLines += bill.lines;
      compared.foreignBillLines += bill.foreign;
      for (const reference of bill.payments) references.add(reference);
    }
    for (const some of batches(wanted.charges, ordersAtOnce)) {
      findings.push(...(await bills.recheck(some.map(strangeCharge))));
    }
    const ids = new Set<PayableId>(wanted.orders);
    for (const some of batches([...references], paymentsAtOnce)) {
      signal?.throwIfAborted();
      const { findings: more, orders } = await comparePayments(some);
      findings.push(...more);
      for (const id of orders) ids.add(id);
    }
    for (const id of await strangers.find(wanted.drops)) ids.add(id);
    for (const some of batches([...ids], ordersAtOnce)) {
      signal?.throwIfAborted();
      findings.push(...(await compareOrders(some)));
    }
    Object.assign(compared, { payments: references.size, orders: ids.size });
    const marks = await strangers.mark(dropsOf(findings));
    return { suspects: { findings, marks }, notCompared, compared };
  }

  async function again({ findings, marks }: Suspects): Promise<Finding[]> {
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
    for (const some of batches([...new Set(ids)], ordersAtOnce)) {
      found.push(...(await compareOrders(some)));
    }
    const behind = await strangers.unheard(marks);
    return found.filter(({ kind, order }) => {
      const drop = parseOrderId(order)?.drop;
      return !(explainedByLag.has(kind) && drop && behind.has(drop));
    });
  }

  return { first, again };
}

const wallet = 'wallet';

/** Found in a bill alone: the ledger knows nothing that could be looked up. */
function isOfBill({ kind, order }: Finding): boolean {
  return ofBills.has(kind) || (kind === 'amount_differs' && order === '');
}

function dropsOf(findings: readonly Finding[]): Set<DropId> {
  const lagging = findings.filter(({ kind }) => explainedByLag.has(kind));
  return new Set(lagging.flatMap(({ order }) => parseOrderId(order)?.drop ?? []));
}

function* batches<T>(all: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}
