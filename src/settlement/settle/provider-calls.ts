import type { OrderId } from '../../domain/ids.ts';
import type { Order } from '../../domain/order.ts';
import { required } from '../../domain/required.ts';
import type { DropTerms } from '../../drops/drop-terms.ts';
import { pollDelays } from '../../ledger/payments/polling.ts';
import type { PaymentResult } from '../../ledger/payments/results.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { Log } from '../../log.ts';
import type {
  Charge,
  ClientWish,
  Outcome,
  PaymentProvider,
  PaymentRef,
  Providers,
} from '../../payments/provider.ts';
import { type Begun, isOpen, type Seen } from './batch.ts';

/** Asks providers about those payments of these orders whose outcome is not certain yet. */
export type ProviderCalls = (items: readonly Begun[]) => Promise<PaymentResult[]>;

/** The call that a payment without a known outcome needs. */
type Operation =
  /** Begun just now: take the money. */
  | 'start'
  /** Begun earlier, perhaps by another process: take the money only if the provider does not know it. */
  | 'resume'
  | 'lookUp'
  | 'close'
  /** Closed earlier: look it up, and close it again if it can still be paid. */
  | 'recheck';

type Asked = { item: Seen; payment: Payment };
type Call = Asked & { operation: Operation };

/** The first poll of a payment after its end, ms; the later ones are the ledger's: see pollDelays. */
const pollAfterEndMs = required(pollDelays.endedMs[0], 'first poll after the end');
const pollAfterCaptureMs = pollDelays.capturedMs;

export function openProviderCalls(options: {
  providers: Providers;
  log: Log;
  onUnknown?(provider: string, by: number): void;
  /** Called with the orders whose payment was to be closed, and whose provider did not answer. */
  onUnclosed?(ids: OrderId[]): Promise<void>;
}): ProviderCalls {
  const { providers, log, onUnknown, onUnclosed } = options;

  return async function callProviders(items) {
    const calls = items.flatMap((item) => {
      return item.attempts.flatMap((payment) => callFor(item, payment));
    });
    // All at once, so that a slow provider does not keep the others waiting.
    const groups = Map.groupBy(calls, (call) => `${call.payment.provider} ${call.operation}`);
    const answers = [...groups.values()].map((group) => callProvider(group));
    return (await Promise.all(answers)).flat();
  };

  /** One call for payments of one provider that need the same operation. */
  async function callProvider(calls: readonly Call[]): Promise<PaymentResult[]> {
    const { payment, operation } = required(calls[0], 'call');
    const name = payment.provider;
    const provider = providers.get(name);
    if (!provider) {
      log.error({ provider: name, payments: calls.length }, 'payments of an unknown provider');
      return [];
    }
    try {
      const answers = await operations[operation](provider, calls);
      const outcomes = answersTo(calls.map(refIn), answers, (reference) => {
        log.error(
          { provider: name, operation, reference },
          'a payment provider answered about a payment that it was not asked about',
        );
      });
      const untrusted = countUntrusted(calls, { answers, outcomes });
      if (untrusted > 0) onUnknown?.(name, untrusted);
      const known = outcomes.filter(({ kind }) => kind !== 'unknown');
      await tellUnclosed(calls, new Set(known.map(({ reference }) => reference)));
      return resultsIn(outcomes, calls, providers);
    } catch (error) {
      // Nothing is known of these payments: they stay open, and the next try begins with a look-up.
      onUnknown?.(name, calls.length);
      log.warn({ err: error, provider: name, operation }, 'call of a payment provider failed');
      await tellUnclosed(calls, new Set());
      return [];
    }
  }

  /**
   * While a provider does not answer, its payments cannot be paid either: that is not their buyers' doing. One
   * that it says is still open could have been paid.
   */
  async function tellUnclosed(calls: readonly Call[], known: ReadonlySet<string>): Promise<void> {
    const unclosed = calls.filter(({ operation, payment }) => {
      return operation === 'close' && !known.has(payment.reference);
    });
    if (unclosed.length > 0) await onUnclosed?.(unclosed.map(({ item }) => item.id));
  }

  function callFor(item: Begun, payment: Payment): Call[] {
    const byBuyer = providers.get(payment.provider)?.startedBy === 'buyer';
    if (!isOpen(payment)) {
      // A payment that was closed elsewhere may have been captured after all.
      const mayReturn = payment.state === 'declined' && byBuyer;
      return mayReturn ? [{ item, payment, operation: 'recheck' }] : [];
    }
    const { isHeld, now, order, isFresh } = item;
    const mayPay = isHeld && now < (payment.payableUntil ?? order.expiresAt);
    if (!mayPay) return [{ item, payment, operation: 'close' }];
    if (byBuyer) return [{ item, payment, operation: 'lookUp' }];
    return [{ item, payment, operation: isFresh ? 'start' : 'resume' }];
  }
}

type Calls = readonly Asked[];
const operations: Record<
  Operation,
  (provider: PaymentProvider, calls: Calls) => Promise<Outcome[]>
> = {
  start: (provider, calls) => provider.start(calls.map(chargeIn)),
  lookUp: (provider, calls) => provider.lookUp(calls.map(refIn)),
  close: (provider, calls) => provider.close(calls.map(refIn)),
  async recheck(provider, calls) {
    const known = await provider.lookUp(calls.map(refIn));
    const payable = new Set(known.flatMap((o) => (o.kind === 'pending' ? [o.reference] : [])));
    const toClose = calls.filter(({ payment }) => payable.has(payment.reference));
    const closed = toClose.length === 0 ? [] : await provider.close(toClose.map(refIn));
    return [...known.filter(({ reference }) => !payable.has(reference)), ...closed];
  },
  async resume(provider, calls) {
    const known = await provider.lookUp(calls.map(refIn));
    const unheard = new Set(known.flatMap((o) => (o.kind === 'none' ? [o.reference] : [])));
    const toStart = calls.filter(({ payment }) => unheard.has(payment.reference));
    const started = toStart.length === 0 ? [] : await provider.start(toStart.map(chargeIn));
    return [...known.filter(({ kind }) => kind !== 'none'), ...started];
  },
};

const refIn = ({ payment }: Asked) => refOf(payment);
const chargeIn = ({ item, payment }: Asked) => chargeOf({ ...item, payment });

/**
 * The answers about the payments that were asked about. Another one counts for nothing: acting on it would
 * change a payment that nobody asked about, and must not cost the others their answers.
 */
export function answersTo(
  asked: readonly Pick<PaymentRef, 'reference'>[],
  outcomes: readonly Outcome[],
  onStranger: (reference: string) => void,
): Outcome[] {
  const references = new Set<string>(asked.map(({ reference }) => reference));
  return outcomes.filter(({ reference }) => {
    if (references.has(reference)) return true;
    onStranger(reference);
    return false;
  });
}

/** How many answers to a call could not be trusted, or are missing: they change no payment. */
export function countUntrusted(
  asked: readonly unknown[],
  { answers, outcomes }: { answers: readonly Outcome[]; outcomes: readonly Outcome[] },
): number {
  const known = outcomes.filter(({ kind }) => kind !== 'unknown').length;
  return Math.max(asked.length, answers.length) - known;
}

/** The results to record for a provider's answers about these payments; any other answer counts for nothing. */
export function resultsIn(
  outcomes: readonly Outcome[],
  asked: readonly Asked[],
  providers: Providers,
): PaymentResult[] {
  const byReference = new Map(asked.map((one) => [one.payment.reference, one]));
  return outcomes.flatMap((outcome) => {
    const about = byReference.get(outcome.reference);
    if (!about) return [];
    const { item, payment } = about;
    const byBuyer = providers.get(payment.provider)?.startedBy === 'buyer';
    return resultsOf(outcome, { payment, now: item.now, byBuyer });
  });
}

export function refOf({ reference, startedAt, providerReference }: Payment): PaymentRef {
  return { reference, startedAt, providerReference: providerReference ?? undefined };
}

export function chargeOf(wanted: {
  order: Order;
  terms: DropTerms;
  payment: Payment;
  wish?: ClientWish;
}): Charge {
  const { order, terms, payment, wish = {} } = wanted;
  return {
    ...refOf(payment),
    orderId: order.id,
    buyer: order.buyer,
    merchantId: terms.merchantId,
    amount: payment.amount,
    currency: payment.currency,
    title: terms.titles[order.item] ?? terms.title,
    expiresAt: payment.payableUntil ?? order.expiresAt,
    wish,
  };
}

/**
 * The result to record for an outcome. For a payment that a buyer makes elsewhere it says when to poll
 * next.
 */
export function resultsOf(
  outcome: Outcome,
  about: { payment: Payment; now: number; byBuyer: boolean },
): PaymentResult[] {
  const { reference, providerReference } = outcome;
  const { payment, now, byBuyer } = about;
  const next = (afterMs: number) => (byBuyer ? { nextPollAt: now + afterMs } : {});
  switch (outcome.kind) {
    case 'captured': {
      // Money in another currency does not pay for this order: it counts as 0.
      const { currency = payment.currency } = outcome;
      const amount = currency === payment.currency ? outcome.amount : 0;
      const known = { reference, providerReference, amount, ...next(pollAfterCaptureMs) };
      return [{ ...known, state: 'captured' }];
    }
    case 'declined': {
      const { reason } = outcome;
      return [{ reference, providerReference, state: 'declined', reason, ...next(pollAfterEndMs) }];
    }
    case 'unknown':
      return [{ reference, providerReference, state: 'unknown' }];
    case 'pending': {
      if (!providerReference || providerReference === payment.providerReference) return [];
      return [{ reference, providerReference, state: 'started' }];
    }
    case 'none': {
      // Closed before the provider knew it, and it still does not.
      const { state, reason } = payment;
      return state === 'declined' ? [{ reference, state, reason }] : [];
    }
  }
}
