import type { z } from 'zod';
import type { AuditReport } from '../../audit/audit.ts';
import type { OrderView } from '../../checkout/order-view.ts';
import {
  type AppointmentWindow,
  type Description,
  type Drop,
  dropState,
} from '../../domain/drop.ts';
import type { ReleaseReason } from '../../domain/order.ts';
import type { Report } from '../../drops/report.ts';
import type { StoredDrop } from '../../ledger/drops.ts';
import type { Receipt } from '../../ledger/orders.ts';
import type { dropBody } from '../schemas/drops.ts';
import { iso } from '../schemas/fields.ts';
import type { orderBody, paymentBody, soldOrderBody } from '../schemas/orders.ts';
import type { auditBody, reportBody } from '../schemas/reports.ts';

/** Why an order was released, for its buyer. */
const reasonTexts: Record<ReleaseReason, string> = {
  '': '',
  expired: 'The payment was not completed while the unit was held for you.',
  cancelled: 'You cancelled the order.',
  drop_cancelled: 'The merchant cancelled the drop.',
  insufficient_funds: 'Your wallet held less than the price.',
  declined: 'The payment was declined.',
};

/** What happens to the money of a released order: it may have been paid just before. */
function moneyText(payment: OrderView['payment']): string {
  switch (payment?.state) {
    case undefined:
    case 'declined':
      return 'Nothing was charged.';
    case 'refunded':
      return 'What was charged has been returned.';
    default:
      return 'Whatever is charged is returned.';
  }
}

/** An order as its buyer reads it. */
export function orderJson(view: OrderView): z.infer<typeof orderBody> {
  const { id, drop, state, sku, quantity, amount, currency, reason, payment } = view;
  return {
    id,
    drop,
    state,
    sku,
    quantity,
    amount,
    currency,
    expiresAt: iso(view.expiresAt),
    reservedAt: isoIf(view.reservedAt),
    paidAt: isoIf(view.paidAt),
    releasedAt: isoIf(view.releasedAt),
    refundedAt: isoIf(view.refundedAt),
    reason: reason || undefined,
    reasonText: reason ? `${reasonTexts[reason]} ${moneyText(payment)}` : undefined,
    payment: payment && {
      provider: payment.provider,
      state: payment.state,
      reason: payment.reason || undefined,
    },
    amountRefunded: view.amountRefunded || undefined,
    awaits: view.awaits,
    fields: view.details?.fields,
    metadata: view.details?.metadata,
  };
}

function isoIf(at: number | null | undefined): string | undefined {
  return at ? iso(at) : undefined;
}

/** An order as its merchant reads it in a list. */
export function soldOrderJson(order: Receipt, drop: Drop): z.infer<typeof soldOrderBody> {
  const { paidAt, releasedAt, refundedAt, payment } = order;
  const view = orderJson({
    ...order,
    payment: payment ?? undefined,
    amountRefunded: payment?.amountRefunded,
    sku: drop.items[order.item]?.sku ?? '',
    currency: drop.currency,
    paidAt: paidAt ?? undefined,
    releasedAt: releasedAt ?? undefined,
    refundedAt: refundedAt ?? undefined,
    details: order.details ?? undefined,
  });
  // The text is for the buyer.
  const { buyer, lane } = order;
  return { ...view, payment: soldPaymentJson(payment), reasonText: undefined, buyer, lane };
}

function soldPaymentJson(payment: Receipt['payment']): z.infer<typeof soldOrderBody>['payment'] {
  if (!payment) return undefined;
  const { provider, state, reason, reference, providerReference } = payment;
  return {
    provider,
    state,
    reason: reason || undefined,
    reference,
    providerReference: providerReference ?? undefined,
  };
}

/** The payment of an order now. */
export function paymentJson(view: OrderView): z.infer<typeof paymentBody> {
  const { id, method, payment } = view;
  return {
    order: id,
    // The buyer may have chosen another method than with the Buy.
    method: payment?.provider ?? method,
    state: payment?.state ?? 'waiting',
    reason: payment?.reason || undefined,
  };
}

/** The ETag of a drop as its merchant reads it. */
export function revisionTag({ revision }: Pick<StoredDrop, 'revision'>): string {
  return `"${revision}"`;
}

/** A drop as its merchant reads it. */
export function dropJson(drop: StoredDrop, now: number): z.infer<typeof dropBody> {
  const { id, title, currency, holdMs, lateCapture, lanes, version, decision, items } = drop;
  return {
    id,
    title,
    currency,
    startsAt: iso(drop.startsAt),
    endsAt: iso(drop.endsAt),
    holdMs,
    unpaidHoldMs: drop.unpaidHoldMs ?? null,
    lapsesMax: drop.lapsesMax ?? null,
    lateCapture,
    appointment: drop.appointment ? windowJson(drop.appointment) : null,
    passwordAbove: drop.passwordAbove ?? null,
    perBuyer: drop.perBuyer ?? null,
    lanes,
    version,
    revision: drop.revision,
    decision,
    state: dropState(drop, now),
    items,
    paymentMethods: drop.paymentMethods,
    fields: drop.fields,
    ...descriptionJson(drop),
    metadata: drop.metadata,
  };
}

/** What the public sees of a drop's or an item's description. */
export function descriptionJson({ description, image, link }: Description) {
  return { description, image, link };
}

export function windowJson({ from, until }: AppointmentWindow) {
  return { required: true as const, from: iso(from), until: iso(until) };
}

export function reportJson(report: Report): z.infer<typeof reportBody> {
  const { firstReservedAt, lastReservedAt, firstPaidAt, lastPaidAt } = report.rates;
  return {
    ...report,
    at: iso(report.at),
    funnel: { ...report.funnel, releases: { ...report.funnel.releases } },
    rates: {
      ...report.rates,
      firstReservedAt: isoOrNull(firstReservedAt),
      lastReservedAt: isoOrNull(lastReservedAt),
      firstPaidAt: isoOrNull(firstPaidAt),
      lastPaidAt: isoOrNull(lastPaidAt),
    },
    actions: report.actions.map((action) => ({ ...action, at: iso(action.at) })),
  };
}

export function auditJson(report: AuditReport): z.infer<typeof auditBody> {
  return { ...report, at: iso(report.at) };
}

function isoOrNull(at: number | null): string | null {
  return at === null ? null : iso(at);
}
