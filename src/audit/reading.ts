import { type OrderId, parseOrderId } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { BuyerUnits, Records } from '../inventory/lane-scan.ts';
import { type Lanes, lanesOf } from '../inventory/lanes.ts';
import type { Inspected } from '../inventory/replies.ts';
import type { Audit as LedgerAudit, OrderLine } from '../ledger/checks/audit-queries.ts';
import type { StoredDrop } from '../ledger/drops.ts';
import type { Adjustment, Orders } from '../ledger/orders.ts';

/** Everything that lanes and ledger have of a drop, read once. Lists by lane are in the lanes' order. */
export type Reading = {
  drop: StoredDrop;
  lanes: Inspected[];
  /** By order id. */
  records: Map<string, Order>;
  buyers: BuyerUnits[][];
  lines: Map<string, OrderLine>;
  adjustments: Adjustment[];
  /** As the ledger has them; undefined for a drop that needs none. */
  appointments: { count: number; uninvited: string[] } | undefined;
  /** The last entry of each lane's outbox that the ledger had read when the reading began, if any. */
  positions: (string | undefined)[];
  /** The last entry of each lane's outbox at the end of the reading. */
  lastEvents: string[];
  /** Outbox entries that were not relayed then. */
  backlog: number;
  /** Redis' clock, ms since the epoch. */
  now: number;
};

export type ReadingSource = {
  lanes: Lanes;
  records: Records;
  orders: Orders;
  ledgerAudit: LedgerAudit;
};

/**
 * Reads a drop from ledger and lanes, the lanes' figures last. The sale goes on meanwhile, so a change
 * during the reading shows as a difference; the audit counts only those that persist.
 */
export async function readDrop(source: ReadingSource, drop: StoredDrop): Promise<Reading> {
  const refs = lanesOf(drop);
  const recorded = await source.orders.positions(drop.id);
  const positions = refs.map(({ lane }) => recorded.find((place) => place.lane === lane)?.last);

  const lines = new Map<string, OrderLine>();
  for await (const page of source.ledgerAudit.lines(drop.id)) {
    for (const line of page) lines.set(line.id, line);
  }
  const records = new Map<string, Order>();
  const buyers: BuyerUnits[][] = [];
  for (const ref of refs) {
    for await (const page of source.records.orders(ref)) {
      for (const order of page) records.set(order.id, order);
    }
    const counted = new Map<string, BuyerUnits>();
    for await (const page of source.records.buyers(ref)) {
      for (const units of page) counted.set(`${units.item}:${units.buyer}`, units);
    }
    buyers.push([...counted.values()]);
  }
  const adjustments = await source.orders.adjustments(drop.id);
  const appointments = drop.appointment && (await source.ledgerAudit.appointments(drop.id));
  const lanes = await Promise.all(refs.map(source.lanes.inspect));
  return {
    drop,
    lanes,
    records,
    buyers,
    lines,
    adjustments,
    appointments,
    positions,
    lastEvents: lanes.map((lane) => (lane.status === 'done' ? lane.lastEvent : '0-0')),
    backlog: lanes.reduce((sum, lane) => sum + (lane.status === 'done' ? lane.backlog : 0), 0),
    now: Math.max(0, ...lanes.map((lane) => lane.now)),
  };
}

/** The lane an order id names. */
export function laneOf(id: OrderId): number {
  return parseOrderId(id)?.lane ?? -1;
}
