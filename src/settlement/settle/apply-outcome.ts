import type { PaymentReference } from '../../domain/ids.ts';
import { required } from '../../domain/required.ts';
import type { Lanes } from '../../inventory/lanes.ts';
import type { Confirmed, Released } from '../../inventory/replies.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { Log } from '../../log.ts';
import type { Providers } from '../../payments/provider.ts';
import type { PaymentCount } from '../metrics/payment-metrics.ts';
import { eachLane, isKept, isOpen, type Recorded, type Settled } from './batch.ts';
import { type Decided, decide, isExact } from './decide.ts';
import type { HoldDeferral } from './hold-deferral.ts';
import type { Refunds } from './refunds.ts';

/** A decided item with the result of settling it. */
export type Applied = Decided & { settled: Settled };

export type ApplyOutcome = (items: readonly Recorded[]) => Promise<Applied[]>;

/**
 * Applies payment outcomes to the lanes: confirms paid orders, releases unpaid ones, and refunds
 * captures that have no unit.
 */
export function openApplyOutcome(options: {
  lanes: Lanes;
  payments: Pick<Payments, 'find' | 'endPolling'>;
  providers: Providers;
  refunds: Refunds;
  holdDeferral: HoldDeferral;
  log: Log;
  onPayment?: ((provider: string, outcome: PaymentCount) => void) | undefined;
}): ApplyOutcome {
  const { lanes, payments, providers, refunds, holdDeferral, log, onPayment } = options;

  return async function applyOutcome(items) {
    const decided = items.map((item) => decide(item, providers));
    decided.forEach(logOtherAmounts);
    const applied = await refundAll([
      ...decided.flatMap(left),
      ...(await confirmAll(decided)),
      ...(await releaseAll(decided)),
    ]);
    await endPolling(applied);
    await holdDeferral.lift(applied.filter(isToLift).map(({ id }) => id));
    return applied;
  };

  function logOtherAmounts({ attempts }: Decided): void {
    for (const payment of attempts) {
      if (!isKept(payment) || isExact(payment)) continue;
      const { reference, amount, amountCaptured } = payment;
      log.error(
        { reference, amount, amountCaptured },
        'captured amount differs from the price: it is refunded',
      );
    }
  }

  async function confirmAll(decided: readonly Decided[]): Promise<Applied[]> {
    const confirmed = await eachLane(decided.flatMap(toConfirm), async (ref, group) => {
      const answers = await lanes.confirm(
        ref,
        group.map(({ place }) => place.digest),
      );
      return group.map((one, index) => {
        const answer = required(answers[index], 'answer of confirm');
        if (answer.status === 'gone') onPayment?.(one.payment.provider, 'late_refunded');
        if (answer.status === 'retaken') onPayment?.(one.payment.provider, 'late_retaken');
        return { ...one, answer };
      });
    });
    const retaken = confirmed.filter(({ answer }) => answer.status === 'retaken');
    const withDecidedRefund = await refundsAskedOf(retaken.map(({ payment }) => payment.reference));
    return confirmed.map(({ answer, payment, ...one }) => {
      const mustRefund = answer.status === 'gone' || withDecidedRefund.has(payment.reference);
      const due = mustRefund ? [...one.refunds, { payment, isLast: true }] : one.refunds;
      return { ...one, refunds: due, settled: settledByConfirm(answer) };
    });
  }

  /**
   * Those of these late captures, which have just taken units again, that have a decided refund. It may
   * have been decided just before; it stands, so the units go back too. Of the two steps, whichever is
   * the later one sees the earlier one.
   */
  async function refundsAskedOf(
    references: readonly PaymentReference[],
  ): Promise<Set<PaymentReference>> {
    const found = await payments.find(references);
    return new Set(found.flatMap((p) => (p.refundAskedAt === null ? [] : [p.reference])));
  }

  async function releaseAll(decided: readonly Decided[]): Promise<Applied[]> {
    return await eachLane(decided.flatMap(toRelease), async (ref, group) => {
      const answers = await lanes.release(
        ref,
        group.map(({ place, reason }) => ({ digest: place.digest, reason })),
      );
      return group.map(({ reason: _, ...one }, index) => {
        return { ...one, settled: settledByRelease(required(answers[index], 'answer of release')) };
      });
    });
  }

  async function refundAll(applied: readonly Applied[]): Promise<Applied[]> {
    const due = applied.flatMap((one) => one.refunds);
    if (due.length === 0) return [...applied];
    const done = await refunds.giveBack(due.map(({ payment }) => payment));
    return applied.map((one) => ({ ...one, settled: afterRefunds(one, done) }));
  }

  /** Ends the polling of payments whose outcome is certain, once their orders are final. */
  async function endPolling(applied: readonly Applied[]): Promise<void> {
    const final = applied.filter(({ settled }) => isFinal(settled));
    const certain = final.flatMap(({ attempts }) => attempts.filter(isCertain));
    await payments.endPolling(
      certain.filter(({ nextPollAt }) => nextPollAt !== null).map(({ reference }) => reference),
    );
  }

  /** Whether the order still waits for its buyer although every payment at a provider has ended. */
  function isToLift({ settled, order, attempts }: Applied): boolean {
    const isWaiting = settled.kind === 'waiting' && order.state === 'reserved';
    const hasDeferred = attempts.some(({ provider }) => {
      return providers.get(provider)?.startedBy === 'buyer';
    });
    return isWaiting && hasDeferred && !attempts.some(isOpen);
  }

  /** A provider elsewhere may capture a payment that was closed; a wallet in the ledger cannot. */
  function isCertain(payment: Payment): boolean {
    if (isOpen(payment)) return false;
    return payment.state !== 'declined' || providers.get(payment.provider)?.startedBy === 'engine';
  }
}

function left(one: Decided): Applied[] {
  return one.step.kind === 'leave' ? [{ ...one, settled: one.step.settled }] : [];
}

function toConfirm(one: Decided) {
  return one.step.kind === 'confirm' ? [{ ...one, payment: one.step.payment }] : [];
}

function toRelease(one: Decided) {
  return one.step.kind === 'release' ? [{ ...one, reason: one.step.reason }] : [];
}

const isFinal = ({ kind }: Settled) => {
  return kind === 'paid' || kind === 'refunded' || kind === 'released';
};

function settledByConfirm(answer: Confirmed): Settled {
  switch (answer.status) {
    case 'paid':
    case 'retaken':
      return { kind: 'paid' };
    case 'already':
      return { kind: answer.order.state === 'refunded' ? 'refunded' : 'paid' };
    case 'gone':
      return { kind: 'released' };
    case 'unknown':
      return { kind: 'lost' };
  }
}

function settledByRelease(answer: Released): Settled {
  switch (answer.status) {
    case 'released':
    case 'already':
      return { kind: 'released' };
    case 'refused':
      return { kind: 'later', why: 'the payment was declined but the lane has the order as paid' };
    case 'unknown':
      return { kind: 'lost' };
  }
}

/** An order with an unfinished refund is `waiting`: the redrive finishes the refund. */
function afterRefunds({ settled, refunds }: Applied, done: ReadonlySet<string>): Settled {
  if (!refunds.every(({ payment }) => done.has(payment.reference))) return { kind: 'waiting' };
  if (!refunds.some(({ isLast }) => isLast)) return settled;
  const wasPaid = settled.kind === 'paid' || settled.kind === 'refunded';
  return { kind: wasPaid ? 'refunded' : 'released' };
}
