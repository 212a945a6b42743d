import { type OrderId, type OrderRef, orderId, type PayableId, placeOf } from '../domain/ids.ts';
import type { Order, OrderState } from '../domain/order.ts';
import { byLane } from '../inventory/by-lane.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { ReconciliationQueries } from '../ledger/checks/reconciliation-queries.ts';
import type { Payments } from '../ledger/payments/payments.ts';
import type { Payment } from '../ledger/payments/row.ts';
import { isTopUpId } from '../ledger/wallet/topups.ts';
import { isKept } from '../settlement/settle/batch.ts';
import { describePayment } from './describe.ts';
import type { Finding, Says } from './differences.ts';
import { readLane, type UnreadLane } from './unread-lanes.ts';

/** Differences of orders, and the lanes that could not be read. */
export type OrdersCompared = { findings: Finding[]; unread: UnreadLane[] };

type Row = { state: OrderState; amount: number };

/** Compares orders between ledger and lanes, and both with the money kept for them. */
export function openOrderComparison(options: {
  lanes: Lanes;
  payments: Payments;
  queries: ReconciliationQueries;
}) {
  const { lanes, payments, queries } = options;

  return async function compare(ids: readonly PayableId[]): Promise<OrdersCompared> {
    const wanted = ids.filter((id) => !isTopUpId(id));
    // Lanes are read last: money and ledger follow them, so a difference can only be lag behind them.
    const attempts = Map.groupBy(await payments.ofOrders(wanted), ({ orderId }) => orderId);
    const rows = await queries.states(wanted);
    const { read, unread } = await find(wanted);
    const findings = [...read].flatMap(([id, record]) => {
      return judge(id, { row: rows.get(id), record, attempts: attempts.get(id) ?? [] });
    });
    return { findings, unread };
  };

  /** The orders in the lanes that can be read; undefined for one that its lane does not have. */
  async function find(ids: readonly OrderId[]) {
    const places = ids.map(placeOf);
    const read = new Map<OrderId, Order | undefined>();
    const unread: UnreadLane[] = [];
    const visits = byLane<OrderRef>(places).map(async ({ ref, places: group }) => {
      const digests = group.map(({ digest }) => digest);
      const orders = await readLane(ref, unread, () => lanes.find(ref, digests));
      if (!orders) return;
      for (const [index, place] of group.entries()) read.set(orderId(place), orders[index]);
    });
    await Promise.all(visits);
    return { read, unread };
  }
}

function judge(
  id: OrderId,
  known: { row: Row | undefined; record: Order | undefined; attempts: Payment[] },
): Finding[] {
  const { row, record, attempts } = known;
  const [last] = attempts.slice(-1);
  const about = { order: id, payment: last?.reference ?? '', provider: last?.provider ?? '' };
  const says: Says = {
    ledger: row ? `${row.state} for ${row.amount}` : 'no such order',
    lane: record ? `${record.state} for ${record.amount}` : 'no such order',
  };
  if (!row && !record) {
    const captured = attempts.filter(({ amountCaptured }) => amountCaptured > 0);
    const money = captured.map(describePayment).join('; ');
    if (captured.length === 0) return [];
    return [{ kind: 'payment_without_order', ...about, says: { ...says, ledger: money } }];
  }
  const findings: Finding[] = [];
  if (!record) findings.push({ kind: 'order_not_in_lane', ...about, says });
  else if (!row) findings.push({ kind: 'order_not_in_ledger', ...about, says });
  else if (record.state !== row.state || record.amount !== row.amount) {
    findings.push({ kind: 'order_differs', ...about, says });
  }
  findings.push(...judgeMoney({ ...about, order: id }, { says, now: record ?? row, attempts }));
  return findings;
}

/** A paid order has one capture of its amount; any other has none. Refunds under way count as neither. */
function judgeMoney(
  about: Pick<Finding, 'payment' | 'provider'> & { order: OrderId },
  { says, now, attempts }: { says: Says; now: Row | undefined; attempts: Payment[] },
): Finding[] {
  if (!now) return [];
  const kept = attempts.filter(isKept);
  const money = attempts
    .map((payment) => `${payment.reference} ${describePayment(payment)}`)
    .join('; ');
  const saysWithMoney = { ...says, ledger: `${says.ledger}; ${money || 'no payment'}` };
  const finding = (kind: Finding['kind'], payment: Payment | undefined): Finding => {
    const which = payment ? { payment: payment.reference, provider: payment.provider } : {};
    return { kind, ...about, ...which, says: saysWithMoney };
  };
  const settle = { kind: 'settle' as const, order: about.order };
  if (now.state !== 'paid') {
    return kept.map((payment) => ({ ...finding('captured_not_sold', payment), repair: settle }));
  }
  if (kept.length > 1) return [{ ...finding('captured_twice', kept.at(-1)), repair: settle }];
  const [owner] = kept;
  if (owner) return owner.amountCaptured === now.amount ? [] : [finding('amount_differs', owner)];
  // A refund is under way: the lane gives the units back once the money is returned.
  if (attempts.some(({ state, refundAskedAt }) => state === 'captured' && refundAskedAt !== null)) {
    return [];
  }
  const back = attempts.find(({ state }) => state === 'refunded');
  if (!back) return [finding('paid_without_capture', undefined)];
  const repair = { kind: 'refund' as const, payment: back.reference };
  return [{ ...finding('refund_unfinished', back), repair }];
}
