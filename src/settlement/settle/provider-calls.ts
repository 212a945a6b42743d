import type { Order } from '../../domain/order.ts';
import type { DropTerms } from '../../drops/drop-terms.ts';
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
import { isOpen, type SeenCase } from './batch.ts';

/** Charges, looks up and closes what is open of these orders; gives what is now known of it. */
export type Charging = (cases: readonly SeenCase[]) => Promise<PaymentResult[]>;

/** What is done about a payment whose outcome is not known. */
type Deed =
  /** Begun just now. */
  | 'start'
  /** Begun before by somebody: it is charged only when the provider has never heard of it. */
  | 'resume'
  | 'lookUp'
  | 'close'
  /** Closed before: looked up, and closed again where it can be paid after all. */
  | 'watch';

type Asked = { one: SeenCase; payment: Payment; deed: Deed };

/** After a payment was closed, its provider is asked again this much later: see payment-looks. */
const pollAfterEndMs = 60_000;
const pollAfterCaptureMs = 5_000;

export function openCharging(options: {
  providers: Providers;
  log: Log;
  onUnknown?(provider: string, by: number): void;
}): Charging {
  const { providers, log, onUnknown } = options;

  return async function charge(cases) {
    const asked = cases.flatMap((one) => one.attempts.flatMap((payment) => deedOf(one, payment)));
    // All at once: a provider that is slow must not keep the others waiting.
    const groups = Map.groupBy(asked, ({ payment, deed }) => `${payment.provider} ${deed}`);
    return (await Promise.all([...groups.values()].map(chargeAlike))).flat();
  };

  /** What came of payments of one provider to which the same is done. */
  async function chargeAlike(alike: Asked[]): Promise<PaymentResult[]> {
    const [{ payment, deed }] = alike as [Asked];
    const name = payment.provider;
    const provider = providers.get(name);
    if (!provider) {
      log.error({ provider: name, payments: alike.length }, 'no such provider to charge through');
      return [];
    }
    try {
      const outcomes = await deeds[deed](provider, alike);
      const unknown = outcomes.filter(({ kind }) => kind === 'unknown').length;
      if (unknown > 0) onUnknown?.(name, unknown);
      return factsIn(outcomes, alike);
    } catch (error) {
      // Nothing is known of these: they stay open, and the next try begins with a look-up.
      onUnknown?.(name, alike.length);
      log.warn({ err: error, provider: name }, 'a provider did not answer');
      return [];
    }
  }

  function deedOf(one: SeenCase, payment: Payment): Asked[] {
    const byBuyer = providers.get(payment.provider)?.startedBy === 'buyer';
    if (!isOpen(payment)) {
      // Closed, and perhaps not for good: whoever settles its order asks the provider once more.
      const mayReturn = payment.state === 'declined' && byBuyer;
      return mayReturn ? [{ one, payment, deed: 'watch' }] : [];
    }
    const { isHeld, now, order } = one.seen;
    const mayPay = isHeld && now < (payment.payableUntil ?? order.expiresAt);
    if (!mayPay) return [{ one, payment, deed: 'close' }];
    if (byBuyer) return [{ one, payment, deed: 'lookUp' }];
    return [{ one, payment, deed: one.fresh ? 'start' : 'resume' }];
  }

  function factsIn(outcomes: Outcome[], asked: Asked[]): PaymentResult[] {
    const byReference = new Map(asked.map((each) => [each.payment.reference, each]));
    return outcomes.flatMap((outcome) => {
      const { one, payment } = byReference.get(outcome.reference) as Asked;
      return factsOf(outcome, {
        payment,
        now: one.seen.now,
        byBuyer: providers.get(payment.provider)?.startedBy === 'buyer',
      });
    });
  }
}

const deeds: Record<Deed, (provider: PaymentProvider, asked: Asked[]) => Promise<Outcome[]>> = {
  start: (provider, asked) => provider.start(asked.map(chargeIn)),
  lookUp: (provider, asked) => provider.lookUp(asked.map(refIn)),
  close: (provider, asked) => provider.close(asked.map(refIn)),
  async watch(provider, asked) {
    const known = await provider.lookUp(asked.map(refIn));
    const payable = new Set(known.flatMap((o) => (o.kind === 'pending' ? [o.reference] : [])));
    const toClose = asked.filter(({ payment }) => payable.has(payment.reference));
    const closed = toClose.length === 0 ? [] : await provider.close(toClose.map(refIn));
    return [...known.filter(({ reference }) => !payable.has(reference)), ...closed];
  },
  async resume(provider, asked) {
    const known = await provider.lookUp(asked.map(refIn));
    const unheard = new Set(known.flatMap((o) => (o.kind === 'none' ? [o.reference] : [])));
    const toStart = asked.filter(({ payment }) => unheard.has(payment.reference));
    const started = toStart.length === 0 ? [] : await provider.start(toStart.map(chargeIn));
    return [...known.filter(({ kind }) => kind !== 'none'), ...started];
  },
};

const refIn = ({ payment }: Asked) => refOf(payment);
const chargeIn = ({ one, payment }: Asked) => chargeOf({ ...one.seen, payment });

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

/** What an outcome tells; of a payment that a buyer makes elsewhere also when to ask next. */
export function factsOf(
  outcome: Outcome,
  about: { payment: Payment; now: number; byBuyer: boolean },
): PaymentResult[] {
  const { reference, providerReference } = outcome;
  const { payment, now, byBuyer } = about;
  const next = (afterMs: number) => (byBuyer ? { nextPollAt: now + afterMs } : {});
  switch (outcome.kind) {
    case 'captured': {
      // Money of another currency is none of this payment's: as if nothing of it had come.
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
      // Closed before the provider ever heard of it: so it is still.
      const { state, reason } = payment;
      return state === 'declined' ? [{ reference, state, reason }] : [];
    }
  }
}
