import type { Clock } from '../domain/clock.ts';
import type { PayableId, PaymentReference, TopUpId } from '../domain/ids.ts';
import type {
  ReconciliationQueries,
  WatchedRefund,
} from '../ledger/checks/reconciliation-queries.ts';
import type { Payments } from '../ledger/payments/payments.ts';
import { isUnderWay } from '../ledger/payments/refunds.ts';
import type { Payment, PaymentOf } from '../ledger/payments/row.ts';
import { isTopUpId, type TopUps } from '../ledger/wallet/topups.ts';
import type { Log } from '../log.ts';
import {
  type Outcome,
  type Providers,
  type RefundLookUp,
  unknownRefund,
} from '../payments/provider.ts';
import { refOf, resultsOf } from '../settlement/settle/provider-calls.ts';
import { refundCallOf } from '../settlement/settle/refund-calls.ts';
import { describeOutcome, describePayment, subject } from './describe.ts';
import type { Finding } from './differences.ts';
import { refundFindings } from './refunds.ts';

/** The result of comparing payments. */
export type PaymentsCompared = {
  findings: Finding[];
  /** The orders and top-ups that the payments are for. */
  orders: PayableId[];
};

type Captured = Outcome & { kind: 'captured' };

/** Compares payments of the ledger with what their providers have now. */
export function openPaymentComparison(options: {
  payments: Payments;
  queries: ReconciliationQueries;
  topUps: TopUps;
  providers: Providers;
  clock: Clock;
  log: Log;
}) {
  const { payments, queries, topUps, providers, clock, log } = options;

  return async function compare(references: readonly string[]): Promise<PaymentsCompared> {
    const found = await payments.find(references);
    const refunds = Map.groupBy(await queries.refundsOf(references), ({ payment }) => payment);
    // The provider is read after the ledger: a payment that changes meanwhile is ahead there, and the
    // repair records it.
    const outcomes = await lookUp(found);
    const answers = await lookUpRefunds(found, refunds);
    const findings = found.flatMap((payment) => {
      const outcome = outcomes.get(payment.reference);
      const own = refunds.get(payment.reference) ?? [];
      return [
        ...(outcome ? captureFindings(payment, outcome) : [silence(payment)]),
        ...refundFindings(payment, { refunds: own, outcome, answers, now: clock.now() }),
      ];
    });
    findings.push(...(await uncredited(found)));
    return { findings, orders: [...new Set(found.map(({ orderId }) => orderId))] };
  };

  /** The providers' answers; a payment without an answer is missing from the map. */
  async function lookUp(found: readonly Payment[]): Promise<Map<PaymentReference, Outcome>> {
    const groups = Map.groupBy(found, ({ provider }) => provider);
    const answers = await Promise.all(
      [...groups].map(async ([name, group]) => {
        try {
          return (await providers.get(name)?.lookUp(group.map(refOf))) ?? [];
        } catch (error) {
          log.warn({ err: error, provider: name }, 'a provider did not answer the reconciliation');
          return [];
        }
      }),
    );
    const known = answers.flat().filter(({ kind }) => kind !== 'unknown');
    return new Map(known.map((outcome) => [outcome.reference, outcome]));
  }

  /** The providers' answers about refunds that were done, failed or were paid in another way. */
  async function lookUpRefunds(
    found: readonly Payment[],
    refunds: ReadonlyMap<string, readonly WatchedRefund[]>,
  ): Promise<Map<string, RefundLookUp>> {
    const groups = Map.groupBy(found, ({ provider }) => provider);
    const answers = await Promise.all(
      [...groups].map(async ([name, group]) => {
        const wanted = group.flatMap((payment) => {
          const own = refunds.get(payment.reference) ?? [];
          return own
            .filter((refund) => !isUnderWay(refund))
            .map((refund) => refundCallOf(refund, payment));
        });
        if (wanted.length === 0) return [];
        try {
          return (await providers.get(name)?.lookUpRefunds?.(wanted)) ?? [];
        } catch (error) {
          log.warn({ err: error, provider: name }, 'a provider did not answer about refunds');
          return wanted.map(unknownRefund);
        }
      }),
    );
    return new Map(answers.flat().map((answer) => [answer.refundReference, answer]));
  }

  function captureFindings(payment: Payment, outcome: Outcome): Finding[] {
    const isCaptured = payment.state === 'captured' || payment.state === 'refunded';
    if (outcome.kind !== 'captured') return isCaptured ? denied(payment, outcome) : [];
    if ((outcome.currency ?? payment.currency) !== payment.currency) {
      return [finding('currency_differs', payment, outcome)];
    }
    const expected = isCaptured ? payment.amountCaptured : payment.amount;
    if (outcome.amount !== expected) return [finding('amount_differs', payment, outcome)];
    const disputes = outcome.isDisputed ? [finding('disputed', payment, outcome)] : [];
    return isCaptured ? disputes : [missed(payment, outcome)];
  }

  /**
   * The provider says that it has no capture. Only that it was closed or reversed is believed: `none` may
   * as well mean another account.
   */
  function denied(payment: Payment, outcome: Outcome): Finding[] {
    const amount = payment.amountCaptured - payment.amountRefunded;
    if (payment.state === 'refunded' || amount === 0) return [];
    const denial = finding('capture_denied', payment, outcome);
    if (outcome.kind !== 'declined') return [denial];
    const reason = 'reversed by the provider';
    const repair = { kind: 'outside' as const, payment: payment.reference, amount, reason };
    return [{ ...denial, repair, tells: true }];
  }

  function missed(payment: Payment, outcome: Captured): Finding {
    const byBuyer = providers.get(payment.provider)?.startedBy === 'buyer';
    const [fact] = resultsOf(outcome, { payment, now: clock.now(), byBuyer });
    if (!fact) throw new Error('bug: a capture is a fact');
    const repair = { kind: 'record' as const, fact, order: payment.orderId };
    return { ...finding('capture_missed', payment, outcome), repair };
  }

  function silence(payment: Payment): Finding {
    const isThere = providers.has(payment.provider);
    const provider = isThere ? 'no answer' : 'not configured any more';
    return {
      ...subject('provider_silent', payment),
      says: { ledger: describePayment(payment), provider },
    };
  }

  async function uncredited(found: readonly Payment[]): Promise<Finding[]> {
    const paid = found.filter(isTopUp).filter(({ state }) => state === 'captured');
    const known = await topUps.find(paid.map(({ orderId }) => orderId));
    const waiting = new Set(
      known.filter(({ creditedAt }) => creditedAt === null).map(({ id }) => id),
    );
    return paid
      .filter(({ orderId }) => waiting.has(orderId))
      .map((payment) => ({
        ...subject('topup_not_credited', payment),
        says: { ledger: `${describePayment(payment)}, not in the wallet` },
        repair: { kind: 'settle', order: payment.orderId },
      }));
  }
}

function finding(kind: Finding['kind'], payment: Payment, outcome: Outcome): Finding {
  return {
    ...subject(kind, payment),
    says: { ledger: describePayment(payment), provider: describeOutcome(outcome) },
  };
}

function isTopUp(payment: Payment): payment is PaymentOf<TopUpId> {
  return isTopUpId(payment.orderId);
}
