import type { WatchedRefund } from '../ledger/checks/reconciliation-queries.ts';
import { isUnderWay, isUnpaid } from '../ledger/payments/refunds.ts';
import type { Payment } from '../ledger/payments/row.ts';
import type { Outcome, RefundLookUp } from '../payments/provider.ts';
import { describeOutcome, subject } from './describe.ts';
import type { Finding } from './differences.ts';

/** A refund is usually made within seconds; after this time it counts as stuck. */
const askedMsMax = 10 * 60_000;
/** A bank may take days; after this time an operator should ask the provider. */
const pendingMsMax = 7 * 24 * 3_600_000;

/** A provider that does not tell for this long what became of a failed refund has to be asked by a person. */
const unknownMsMax = 3_600_000;

/** Compares the refunds of one payment with what its provider has refunded. */
export function refundFindings(
  payment: Payment,
  known: {
    refunds: readonly WatchedRefund[];
    outcome: Outcome | undefined;
    /** The provider's answers about refunds that were done or failed, by reference. */
    answers: ReadonlyMap<string, RefundLookUp>;
    now: number;
  },
): Finding[] {
  const { refunds, outcome, answers, now } = known;
  const changed = refunds.flatMap((refund) => changes(payment, refund, answers));
  const failed = refunds.filter((refund) => {
    return isOpenFailure(refund, refunds) && answers.get(refund.reference)?.kind !== 'refunded';
  });
  const isSummed = outcome?.kind === 'captured' && changed.length === 0;
  return [
    ...(isSummed ? sumFindings(payment, refunds, outcome) : []),
    ...changed,
    ...refunds.flatMap((refund) => stuck(payment, refund, now)),
    ...refunds.flatMap((refund) => paidTwice(payment, refund)),
    ...failed.map((refund): Finding => {
      const { reference, amount, note, askedAt } = refund;
      const ledger = `failed, ${amount}: ${note}`;
      const isUnknown = answers.get(reference)?.kind === 'unknown' && now - askedAt > unknownMsMax;
      const kind = isUnknown ? 'refund_unknown' : 'refund_failed';
      const says = isUnknown ? { ledger, provider: 'does not tell what became of it' } : { ledger };
      return { ...subject(kind, payment), payment: reference, says };
    }),
  ];
}

/** A refund that was done and has failed since, or the other way round. */
function changes(
  payment: Payment,
  { reference, state, amount }: WatchedRefund,
  answers: ReadonlyMap<string, RefundLookUp>,
): Finding[] {
  const answer = answers.get(reference);
  const says = { ledger: `${state}, ${amount}`, provider: answer?.kind ?? '' };
  const finding = (kind: Finding['kind']): Finding => ({
    ...subject(kind, payment),
    payment: reference,
    says,
    repair: { kind: 'check', payment: payment.reference },
    tells: true,
  });
  if (state === 'done' && answer?.kind === 'failed') return [finding('refund_denied')];
  const goesOn = answer?.kind === 'refunded' || answer?.kind === 'pending';
  return state === 'failed' && goesOn ? [finding('refund_missed')] : [];
}

/** No findings when the provider does not report refunded amounts. */
function sumFindings(
  payment: Payment,
  refunds: readonly WatchedRefund[],
  outcome: Outcome & { kind: 'captured' },
): Finding[] {
  const { refunded } = outcome;
  if (refunded === undefined) return [];
  const done = sumOf(refunds, 'done');
  const underWay = sumOf(refunds, 'asked') + sumOf(refunds, 'pending');
  const ledger = `refunded ${done}, under way ${underWay}`;
  const says = { ledger, provider: describeOutcome(outcome) };
  if (refunded > done + underWay) {
    const amount = refunded - done - underWay;
    const reason = 'made at the provider';
    const repair = { kind: 'outside' as const, payment: payment.reference, amount, reason };
    return [{ ...subject('refunded_outside', payment), says, repair, tells: true }];
  }
  if (refunded < done) return [{ ...subject('refund_denied', payment), says }];
  // A refund is under way: its notification has not arrived, or the bank has not paid it out yet.
  if (refunded === done) return [];
  const repair = { kind: 'refund' as const, payment: payment.reference };
  return [{ ...subject('refund_stuck', payment), says, repair, inProgress: true }];
}

function stuck(payment: Payment, refund: WatchedRefund, now: number): Finding[] {
  const { reference, state, amount, askedAt } = refund;
  const ageMs = now - askedAt;
  if (!isUnderWay(refund) || ageMs < askedMsMax) return [];
  const ledger = `${state}, ${amount}, since ${new Date(askedAt).toISOString()}`;
  const mayWait = state === 'pending' && ageMs < pendingMsMax;
  return [
    {
      ...subject('refund_stuck', payment),
      payment: reference,
      says: { ledger },
      repair: { kind: 'refund', payment: payment.reference },
      ...(mayWait ? { inProgress: true } : {}),
    },
  ];
}

/** The provider makes a refund after all that the buyer was paid in another way. */
function paidTwice(payment: Payment, refund: WatchedRefund): Finding[] {
  const { reference, state, amount, dealtWithAt } = refund;
  if (dealtWithAt === null || state === 'failed') return [];
  const ledger = `${state}, ${amount}, and paid in another way`;
  return [{ ...subject('refund_paid_twice', payment), payment: reference, says: { ledger } }];
}

/** A failed refund is open until it is paid in another way or given up, or later refunds cover it. */
function isOpenFailure(refund: WatchedRefund, all: readonly WatchedRefund[]): boolean {
  if (!isUnpaid(refund) || refund.givenUpAt !== null) return false;
  const later = all.filter((one) => one.number > refund.number && !isUnpaid(one));
  return later.reduce((sum, { amount }) => sum + amount, 0) < refund.amount;
}

function sumOf(refunds: readonly WatchedRefund[], state: WatchedRefund['state']): number {
  return refunds.reduce((sum, one) => sum + (one.state === state ? one.amount : 0), 0);
}
