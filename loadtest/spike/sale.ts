import type { BookHead } from '../auditor/book.ts';
import { type CopiedDrop, type Merchant, unitAmount } from '../merchant.ts';
import { fitted, type Parameters } from '../workload/parameters.ts';
import type { SpikeOptions } from './options.ts';
import { SpikeError } from './preflight.ts';

/** The drop of a run, published and not open yet, and the crowd that fits it. */
export type PreparedSale = {
  drop: string;
  title: string;
  currency: string;
  items: BookHead['items'];
  perBuyer?: BookHead['perBuyer'];
  parameters: Parameters;
};

const sku = 'phone';
/** Until the opening is set, ms: the appointments are imported before, however long that takes. */
const unopenedMs = 24 * 3_600_000;
/** What demo mode gives to a buyer, in minor units. */
const walletAmount = 1_000_000;

/**
 * Publishes a drop for a run: that of the scenario, or a copy of one of the merchant's own drops. The
 * drop that is copied sells nothing.
 * @throws SpikeError when the drop cannot be rehearsed
 */
export async function prepareSale(
  merchant: Merchant,
  { scenario, parameters, rehearsed, set }: SpikeOptions,
): Promise<PreparedSale> {
  const startsAt = Date.now() + unopenedMs;
  if (rehearsed !== undefined) return rehearse(merchant, { rehearsed, startsAt, parameters, set });
  const { units, appointments } = parameters;
  const { title } = scenario;
  const byAppointment = appointments > 0;
  const drop = await merchant.openDrop({ sku, units, title, startsAt, byAppointment });
  const items = [{ sku, units, unitAmount, perBuyer: 1 }];
  return { drop, title, currency: 'CNY', items, parameters };
}

async function rehearse(
  merchant: Merchant,
  {
    rehearsed,
    startsAt,
    ...crowd
  }: { rehearsed: string; startsAt: number; parameters: Parameters; set: Partial<Parameters> },
): Promise<PreparedSale> {
  const copy = await merchant.copyDrop(rehearsed, { title: 'Rehearsal', startsAt });
  try {
    assertAffordable(copy);
  } catch (error) {
    await merchant.cancel(copy.id);
    throw error;
  }
  const items = copy.items.map(({ allotment, sku, unitAmount, perBuyer }) => {
    return { sku, units: allotment, unitAmount, perBuyer };
  });
  const units = items.reduce((sum, item) => sum + item.units, 0);
  const byAppointment = copy.appointment !== null;
  const parameters = fitted(crowd.parameters, { units, byAppointment, set: crowd.set });
  const { id: drop, currency } = copy;
  const perBuyer = copy.perBuyer ?? undefined;
  return { drop, title: `Rehearsal of ${rehearsed}`, currency, items, perBuyer, parameters };
}

function assertAffordable({ items, currency }: CopiedDrop): void {
  const dear = items.find((item) => item.unitAmount > walletAmount);
  if (!dear) return;
  throw new SpikeError(
    `a demo buyer has ${walletAmount} ${currency} (minor units) and "${dear.sku}" costs ${dear.unitAmount}: rehearse a copy with a lower price`,
  );
}
