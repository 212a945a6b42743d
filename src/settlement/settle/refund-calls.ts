import { inParts } from '../../batching/in-parts.ts';
import type { PaymentReference } from '../../domain/ids.ts';
import { found } from '../../domain/required.ts';
import { isRefusedBySql } from '../../ledger/database/refused.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import type { ChangedRefund, RefundResult } from '../../ledger/payments/refund-results.ts';
import { isUnderWay, isUnpaid, type Refund } from '../../ledger/payments/refunds.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { Log } from '../../log.ts';
import type {
  Refund as AskedRefund,
  PaymentProvider,
  Providers,
  RefundLookUp,
} from '../../payments/provider.ts';
import type { RefundCount } from '../metrics/payment-metrics.ts';
import { refOf } from './provider-calls.ts';

export type RefundCalls = {
  /** Asks the providers for the refunds decided for these payments. Moves no units. */
  returnAsked(payments: readonly Payment[]): Promise<void>;
  /**
   * Asks the providers whether the refunds of these payments that were done, failed or were paid in
   * another way are so still, and
   * records what has changed, with an alarm. Refunds nothing and moves no units.
   * @returns the payments with a failed refund of which no answer tells whether it was made after all:
   *   another refund of them may return the money twice
   */
  check(payments: readonly Payment[]): Promise<Set<PaymentReference>>;
};

export type RefundStep = 'asked' | 'refunded';

export type OnRefund = (provider: string, what: RefundCount, by: number) => void;

type Asked = { name: string; provider: PaymentProvider; refunds: Refund[]; calls: AskedRefund[] };

/** Calls of providers about refunds, and what they answer. */
export function openRefundCalls(options: {
  payments: Payments;
  providers: Providers;
  log: Log;
  onRefund?: OnRefund | undefined;
  onStep?: ((step: RefundStep) => void | Promise<void>) | undefined;
}): RefundCalls {
  const { payments, providers, log, onRefund, onStep } = options;

  /** The refunds of these payments that `wants` picks, by provider. */
  async function refundsByProvider(
    of: readonly Payment[],
    wants: (refund: Refund) => boolean,
  ): Promise<Asked[]> {
    const all: Asked[] = [];
    const byReference = new Map(of.map((payment) => [payment.reference, payment]));
    const wanted = (await payments.refundsOf([...byReference.keys()])).filter(wants);
    const providerOf = ({ payment }: Refund) => {
      return found(byReference, payment, 'payment to refund').provider;
    };
    for (const [name, refunds] of Map.groupBy(wanted, providerOf)) {
      const provider = providers.get(name);
      if (!provider) {
        log.error({ provider: name, refunds: refunds.length }, 'refunds of an unknown provider');
        continue;
      }
      const calls = refunds.map((refund) => {
        return refundCallOf(refund, found(byReference, refund.payment, 'payment to refund'));
      });
      all.push({ name, provider, refunds, calls });
    }
    return all;
  }

  async function returnAsked(wanted: readonly Payment[]): Promise<void> {
    for (const asked of await refundsByProvider(wanted, isUnderWay)) {
      const { name, provider, refunds, calls } = asked;
      try {
        const outcomes = answersTo(asked, await provider.refund(calls));
        await onStep?.('refunded');
        await record(asked, outcomes, { checked: false });
        for (const outcome of outcomes) {
          if (outcome.kind === 'failed') {
            log.error(
              { provider: name, ...outcome },
              'refund refused for good by the provider: an operator has to act',
            );
          }
        }
        const counts = (kind: string) => outcomes.filter((outcome) => outcome.kind === kind).length;
        onRefund?.(name, 'done', counts('refunded'));
        onRefund?.(name, 'failed', counts('failed'));
      } catch (error) {
        log.warn(
          { err: error, provider: name, refunds: refunds.length },
          'refund call failed: it is retried',
        );
      }
    }
  }

  async function check(wanted: readonly Payment[]): Promise<Set<PaymentReference>> {
    const known = new Set<string>();
    const checked = await refundsByProvider(wanted, (refund) => !isUnderWay(refund));
    for (const asked of checked) {
      const { name, provider, refunds, calls } = asked;
      // What such a provider has refused stays refused.
      if (!provider.lookUpRefunds) {
        for (const { reference } of refunds) known.add(reference);
        continue;
      }
      try {
        const outcomes = answersTo(asked, await provider.lookUpRefunds(calls));
        const unrecorded = await record(asked, outcomes, { checked: true });
        const answered = outcomes.filter(({ kind }) => kind !== 'unknown');
        await payments.refundsChecked(answered.map(({ refundReference }) => refundReference));
        for (const { refundReference } of answered) {
          if (!unrecorded.has(refundReference)) known.add(refundReference);
        }
      } catch (error) {
        log.warn(
          { err: error, provider: name, refunds: refunds.length },
          'checking refunds failed: it is repeated',
        );
      }
    }
    return await withUnknown(wanted, known);
  }

  /**
   * Those of these payments with a failed refund that is not among the known ones, and that nobody has paid
   * in another way.
   */
  async function withUnknown(
    wanted: readonly Payment[],
    known: ReadonlySet<string>,
  ): Promise<Set<PaymentReference>> {
    const refunds = await payments.refundsOf(wanted.map(({ reference }) => reference));
    const unknown = refunds.filter((one) => isUnpaid(one) && !known.has(one.reference));
    return new Set(unknown.map(({ payment }) => payment));
  }

  /** The answers about refunds that were asked about: any other counts for nothing. */
  function answersTo<T extends RefundLookUp>({ name, calls }: Asked, outcomes: readonly T[]): T[] {
    const references = new Set(calls.map(({ refundReference }) => refundReference));
    return outcomes.filter(({ refundReference }) => {
      if (references.has(refundReference)) return true;
      log.error(
        { provider: name, refund: refundReference },
        'a payment provider answered about a refund that it was not asked about',
      );
      return false;
    });
  }

  /**
   * Records outcomes. One that the ledger refuses keeps no other from being recorded.
   * @returns the references of the refunds whose outcome the ledger refused
   */
  async function record(
    { name, provider }: Asked,
    outcomes: readonly RefundLookUp[],
    { checked }: { checked: boolean },
  ): Promise<Set<string>> {
    const mayChange = provider.lookUpRefunds !== undefined;
    const results = outcomes.flatMap(resultOf).map((result) => ({ ...result, mayChange }));
    const failed = await inParts(
      results,
      async (part) => {
        const changed = await payments.recordRefunds(part, { checked });
        for (const refund of changed) raiseAlarm(name, refund);
      },
      { isOfItem: isRefusedBySql },
    );
    for (const { item, error } of failed) {
      log.error(
        { err: error, provider: name, refund: item.reference },
        'the state of a refund cannot be recorded',
      );
    }
    return new Set(failed.map(({ item }) => item.reference));
  }

  function raiseAlarm(provider: string, changed: ChangedRefund): void {
    const { orderId: order, payment, reference: refund, amount, note, from, to } = changed;
    const about = { provider, order, payment, refund, amount, from, to, note };
    if (changed.dealtWithAt !== null) {
      if (to === 'done') onRefund?.(provider, 'came_true', 1);
      if (to === 'failed') log.warn(about, 'refund that was paid in another way has failed again');
      else log.error(about, 'refund that was paid in another way goes on: the buyer is paid twice');
    } else if (to === 'failed') {
      onRefund?.(provider, 'taken_back', 1);
      log.error(about, 'refund that was done has failed: the buyer does not have the money');
    } else {
      if (to === 'done') onRefund?.(provider, 'came_true', 1);
      log.error(about, 'refund that had failed goes on: do not pay the buyer in another way');
    }
  }

  return { returnAsked, check };
}

/** A refund as a provider is asked for it, or about it. */
export function refundCallOf(
  {
    reference,
    amount,
    reason,
    askedAt,
  }: Pick<Refund, 'reference' | 'amount' | 'reason' | 'askedAt'>,
  paid: Payment,
): AskedRefund {
  const { amountCaptured: captured, currency } = paid;
  const payment = refOf(paid);
  return { refundReference: reference, payment, amount, captured, currency, reason, askedAt };
}

function resultOf(outcome: RefundLookUp): RefundResult[] {
  const { refundReference: reference } = outcome;
  switch (outcome.kind) {
    case 'refunded':
      return [{ reference, state: 'done', providerReference: outcome.providerReference }];
    case 'pending':
      return [{ reference, state: 'pending', providerReference: outcome.providerReference }];
    case 'failed': {
      const { providerReference, reason } = outcome;
      return [{ reference, state: 'failed', note: reason, providerReference }];
    }
    case 'none':
    case 'unknown':
      return [];
  }
}
