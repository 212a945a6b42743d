import type { BuyerId, OrderId } from '../domain/ids.ts';
import { laneShare } from '../inventory/lanes.ts';
import { type StockFigures, sumFigures } from '../inventory/stock-figures.ts';
import type { Check } from './check.ts';
import { laneOf, type Reading } from './reading.ts';

/** Units held and sold by lane and item, and by buyer and item, summed over orders. */
export type Sums = {
  held: number[][];
  sold: number[][];
  byBuyer: Map<string, number>;
};

type Counted = {
  id: OrderId;
  state: string;
  item: number;
  quantity: number;
  buyer: BuyerId;
};

export function sumUp(orders: Iterable<Counted>, shape: { lanes: number; items: number }): Sums {
  const grid = () => Array.from({ length: shape.lanes }, () => Array<number>(shape.items).fill(0));
  const sums: Sums = { held: grid(), sold: grid(), byBuyer: new Map() };
  for (const { id, state, item, quantity, buyer } of orders) {
    if (state !== 'reserved' && state !== 'paid') continue;
    const row = (state === 'reserved' ? sums.held : sums.sold)[laneOf(id)];
    if (row) row[item] = (row[item] ?? 0) + quantity;
    const name = `${item}:${buyer}`;
    sums.byBuyer.set(name, (sums.byBuyer.get(name) ?? 0) + quantity);
  }
  return sums;
}

export type TwoSums = { lanes: Sums; ledger: Sums };

/** Promise 1: each lane's figures add up, and equal the sums over its records and the ledger's. */
export function checkStock(reading: Reading, sums: TwoSums): Check {
  const findings: string[] = [];
  const lasting: string[] = [];
  const parts: StockFigures[] = [];
  const { drop } = reading;
  for (const [lane, inspected] of reading.lanes.entries()) {
    if (inspected.status === 'missing') {
      if (drop.lanesVersion > 0) lasting.push(`lane ${lane} holds nothing`);
      continue;
    }
    for (const [item, { sku }] of drop.items.entries()) {
      const figures = inspected.items[item] ?? sumFigures([]);
      parts.push(figures);
      const where = `lane ${lane}, ${sku}`;
      lasting.push(...breachesOf(figures).map((breach) => `${where}: ${breach}`));
      const at: Place = { lane, item };
      const { held, sold } = figures;
      const compared: [what: string, figure: number, other: number][] = [
        ['allotment by the ledger', figures.allotment, allotmentAt(reading, at)],
        ['held by its records', held, unitsAt(sums.lanes.held, at)],
        ['sold by its records', sold, unitsAt(sums.lanes.sold, at)],
        ['held by the ledger', held, unitsAt(sums.ledger.held, at)],
        ['sold by the ledger', sold, unitsAt(sums.ledger.sold, at)],
      ];
      for (const [what, figure, other] of compared) {
        if (figure !== other) findings.push(`${where}: ${what} is ${other}, its figure ${figure}`);
      }
    }
  }
  const figures = sumFigures(parts);
  return { promise: 1, title: 'Never oversold', figures, findings, lasting };
}

/** An item of a lane. */
type Place = { lane: number; item: number };

/** How the figures of one item in one lane contradict themselves. */
function breachesOf({ available, held, sold, allotment }: StockFigures): string[] {
  const breaches: string[] = [];
  if (available + held + sold !== allotment) {
    const sum = `${available} + ${held} + ${sold}`;
    breaches.push(`available + held + sold is ${sum}, the allotment ${allotment}`);
  }
  if (Math.min(available, held, sold, allotment) < 0) breaches.push('below zero');
  return breaches;
}

/** What the ledger has allotted: the lane's share at the creation, and the adjustments since. */
function allotmentAt({ drop, adjustments }: Reading, { lane, item }: Place): number {
  return adjustments
    .filter((edit) => edit.lane === lane && edit.item === item)
    .reduce(
      (sum, edit) => sum + edit.delta,
      laneShare(drop.items[item]?.allotment ?? 0, lane, drop.lanes),
    );
}

function unitsAt(byLane: readonly (readonly number[])[], { lane, item }: Place): number {
  return byLane[lane]?.[item] ?? 0;
}

/**
 * Promise 7: no buyer has more units than the limit, the lanes' counters equal the sums over orders,
 * and where a drop needs appointments every order's buyer has one.
 */
export function checkLimits(reading: Reading, sums: TwoSums): Check {
  const findings: string[] = [];
  const lasting: string[] = [];
  const { drop } = reading;
  let most = 0;
  for (const [side, { byBuyer }] of Object.entries(sums)) {
    for (const [name, units] of byBuyer) {
      const perBuyer = drop.items[Number.parseInt(name, 10)]?.perBuyer ?? 0;
      most = Math.max(most, units);
      if (units > perBuyer) {
        findings.push(`${name} has ${units} units by the ${side}, the limit is ${perBuyer}`);
      }
    }
  }
  if (drop.perBuyer !== undefined) findings.push(...overDropLimit(sums, drop.perBuyer));
  const counted = new Map<string, number>();
  for (const { item, buyer, units } of reading.buyers.flat()) {
    const name = `${item}:${buyer}`;
    counted.set(name, (counted.get(name) ?? 0) + units);
  }
  for (const [name, units] of sums.ledger.byBuyer) {
    const inLanes = counted.get(name) ?? 0;
    if (inLanes !== units)
      findings.push(`${name}: ${inLanes} by the lanes, ${units} by the ledger`);
  }
  for (const [name, units] of counted) {
    if (!sums.ledger.byBuyer.has(name)) {
      findings.push(`${name}: ${units} by the lanes, none by the ledger`);
    }
  }
  const appointments = checkAppointments(reading, { findings, lasting });
  const figures = {
    ...appointments,
    buyers: sums.ledger.byBuyer.size,
    buyersInLanes: counted.size,
    mostUnits: most,
  };
  return { promise: 7, title: 'Buyer limits hold', figures, findings, lasting };
}

/**
 * An appointment is written to the ledger first, so the lanes may lag behind it; an order without one
 * is a breach at once.
 */
function checkAppointments(
  reading: Reading,
  { findings, lasting }: Pick<Check, 'findings' | 'lasting'>,
): Record<string, number> {
  if (!reading.appointments) return {};
  const { count, uninvited } = reading.appointments;
  const inLanes = reading.lanes.reduce((sum, lane) => {
    return sum + (lane.status === 'done' ? lane.appointments : 0);
  }, 0);
  if (inLanes < count)
    findings.push(`${inLanes} appointments by the lanes, ${count} by the ledger`);
  for (const id of uninvited) lasting.push(`${id}: its buyer has no appointment`);
  return { appointments: count, appointmentsInLanes: inLanes };
}

/** Buyers who have more units of all items together than the drop allows. */
function overDropLimit(sums: TwoSums, perBuyer: number): string[] {
  return Object.entries(sums).flatMap(([side, { byBuyer }]) => {
    const totals = new Map<string, number>();
    for (const [name, units] of byBuyer) {
      const buyer = name.slice(name.indexOf(':') + 1);
      totals.set(buyer, (totals.get(buyer) ?? 0) + units);
    }
    const over = [...totals].filter(([, units]) => units > perBuyer);
    return over.map(([buyer, units]) => {
      return `${buyer} has ${units} units of all items by the ${side}, the limit is ${perBuyer}`;
    });
  });
}
