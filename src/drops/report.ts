import { type DropState, dropState } from '../domain/drop.ts';
import type { DropId } from '../domain/ids.ts';
import type { OrderState, ReleaseReason } from '../domain/order.ts';
import { type Lanes, lanesOf } from '../inventory/lanes.ts';
import { type StockFigures, sumFigures } from '../inventory/stock-figures.ts';
import type { Audit, Pace } from '../ledger/checks/audit-queries.ts';
import type { Lapses } from '../ledger/checks/lapses.ts';
import type { Drops } from '../ledger/drops.ts';
import type { MerchantAction, MerchantActions } from '../ledger/merchant-actions.ts';
import type { Orders } from '../ledger/orders.ts';

/** Figures of a sale: units from the lanes, orders and times from the ledger. */
export type Report = {
  drop: DropId;
  state: DropState;
  /** Redis' clock when the lanes were read, ms since the epoch. */
  at: number;
  /** Units of all items together that one buyer may have; null: no such limit. */
  perBuyer: number | null;
  items: (StockFigures & { sku: string; title: string; perBuyer: number; lanes: StockFigures[] })[];
  /** Appointments made; 0 where none are needed. */
  appointments: number;
  /** Holds that ended unpaid, in all and of the buyers who have most of them. */
  lapses: Lapses;
  funnel: {
    orders: Record<OrderState, number>;
    /** Released orders by reason. */
    releases: Partial<Record<ReleaseReason, number>>;
  };
  /** Rates between the first order and the last; absent while there are no orders. */
  rates: Pace;
  /** Refunds and stock adjustments that the merchant made, newest first. */
  actions: MerchantAction[];
};

/** Reports on a drop; undefined when there is no such drop. */
export function openReport(options: {
  lanes: Lanes;
  drops: Drops;
  orders: Orders;
  ledgerAudit: Audit;
  merchantActions: Pick<MerchantActions, 'ofDrop'>;
}): (dropId: DropId) => Promise<Report | undefined> {
  const { lanes, drops, orders, ledgerAudit, merchantActions } = options;

  return async function report(dropId) {
    const drop = await drops.get(dropId);
    if (!drop) return undefined;
    const [inspected, counts, releases, lapses, rates, actions] = await Promise.all([
      Promise.all(lanesOf(drop).map(lanes.inspect)),
      orders.counts(dropId),
      ledgerAudit.releases(dropId),
      ledgerAudit.lapses(dropId),
      ledgerAudit.pace(dropId),
      merchantActions.ofDrop(dropId),
    ]);
    const at = Math.max(...inspected.map((lane) => lane.now));
    return {
      drop: dropId,
      state: dropState(drop, at),
      at,
      perBuyer: drop.perBuyer ?? null,
      items: drop.items.map(({ sku, title, perBuyer }, index) => {
        const byLane = inspected.map((lane) => {
          return sumFigures([lane.status === 'done' ? lane.items[index] : undefined]);
        });
        return { sku, title, perBuyer, ...sumFigures(byLane), lanes: byLane };
      }),
      appointments: inspected.reduce((sum, lane) => {
        return sum + (lane.status === 'done' ? lane.appointments : 0);
      }, 0),
      lapses,
      funnel: { orders: counts, releases },
      rates,
      actions,
    };
  };
}
